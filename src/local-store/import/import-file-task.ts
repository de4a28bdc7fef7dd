import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { defineTask } from '../../compute/task.ts';
import { EndpointError } from '../../errors.ts';
import { type Part10File, readPart10 } from '../../formats/dicom/part10-reader.ts';
import { tags } from '../../formats/dicom/tags.ts';
import { isNativeSyntax, transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import { newId } from '../identifiers.ts';
import { leveledAttributes } from '../metadata/dataset-json.ts';
import { identityDigest } from '../metadata/document.ts';
import { type FramePlan, framePlan } from './frame-plan.ts';
import type { FileOutcome, ImportWarning, StagedFrame, StagedInstanceFile } from './outcome.ts';
import { InexactFrame, storeFrame } from './stored-frame.ts';

export interface ImportFileInput {
  /** Local file to take; undefined when `{target}.dcm` was already fetched. */
  readonly sourcePath: string | undefined;
  /** Path without suffix of the files that this task writes: `.dcm`, `.frames`, `.json`. */
  readonly target: string;
  readonly bytesPerFile: number;
}

/** Reads one received file and stores its frames; runs on a compute thread, and the pixels never leave it. */
export const importFileTask = defineTask<ImportFileInput, FileOutcome>(
  import.meta.url,
  './import-file-task.ts',
  'importFile',
);

/** What is wrong with a file; the message goes into the job's output. */
class Refusal extends Error {
  override readonly name = 'Refusal';
}

/**
 * Takes a file into the staging folder: the bytes as received (`.dcm`), its frames one behind the other (`.frames`)
 * and its attributes (`.json`). Nothing is flushed: see `stageFile`. What is wrong with the file is an outcome, not an error.
 */
export async function importFile(input: ImportFileInput): Promise<FileOutcome> {
  try {
    return await take(input);
  } catch (error) {
    const isRefusal =
      error instanceof Refusal || (error instanceof EndpointError && error.code === 'unprocessable_image');
    if (isRefusal) return { kind: 'failed', exceptionType: 'ValidationException', message: error.message };
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return { kind: 'disk-full' };
    throw error;
  }
}

async function take(input: ImportFileInput): Promise<FileOutcome> {
  const { file, warnings } = readReceived(receive(input));
  if (file.meta.string(tags.TransferSyntaxUID) === undefined) {
    throw new Refusal('DICOM attribute TransferSyntaxUID does not exist');
  }
  const uids = {
    studyInstanceUid: uidOf(file, 'StudyInstanceUID'),
    seriesInstanceUid: uidOf(file, 'SeriesInstanceUID'),
    sopInstanceUid: uidOf(file, 'SOPInstanceUID'),
  };
  const sopClassUid = uidOf(file, 'SOPClassUID');
  const plan = framePlan(file);
  const stored = plan ? await writeFrames(plan, `${input.target}.frames`) : noFrames;
  const { patient, study, series, instance, vrs } = leveledAttributes(file.meta, file.dataset, plan !== undefined);
  const staged: StagedInstanceFile = {
    series,
    instance: { ...instance, ...plan?.changedAttributes },
    vrs,
    storedTransferSyntaxUid: stored.transferSyntaxUid,
    frames: stored.frames,
  };
  writeFileSync(`${input.target}.json`, JSON.stringify(staged), { flag: 'wx', mode: 0o600 });
  return {
    kind: 'staged',
    instance: { ...uids, sopClassUid, warnings, patient, study, identityDigest: identityDigest(patient, study) },
  };
}

/**
 * Reads a file. One whose offset table is wrong is taken with a warning, as the service does, where its frames can be
 * told apart without the table.
 */
function readReceived(bytes: Uint8Array): { file: Part10File; warnings: ImportWarning[] } {
  const file = readPart10(bytes, { keepPadding: true });
  if (file.numberOfFrames === 0 || isNativeSyntax(file.transferSyntaxUid)) return { file, warnings: [] };
  try {
    file.frame(0);
    return { file, warnings: [] };
  } catch (error) {
    const withoutTable = readPart10(bytes, { keepPadding: true, ignoreOffsetTables: true });
    try {
      withoutTable.frame(0);
    } catch {
      throw error;
    }
    const message = 'The offset table does not lead to the frames; they were found without it.';
    return { file: withoutTable, warnings: [{ code: 45330, type: 'InvalidOffsetTable', message }] };
  }
}

/** Brings the file into the staging folder and reads it from there: nobody can change it in between. */
function receive({ sourcePath, target, bytesPerFile }: ImportFileInput): Uint8Array {
  const path = `${target}.dcm`;
  if (sourcePath !== undefined) {
    try {
      copyFileSync(sourcePath, path, constants.COPYFILE_FICLONE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
      throw new Refusal('The file cannot be read.');
    }
  }
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    if (size > bytesPerFile) throw new Refusal(`The file is larger than ${bytesPerFile} bytes.`);
    if (size >= 2 ** 31) throw new Refusal('Files of 2 GiB and more are not taken.');
    // A plain view: the `slice` of a Buffer shares memory where that of a Uint8Array copies.
    const { buffer, byteOffset, length } = readFileSync(descriptor);
    return new Uint8Array(buffer, byteOffset, length);
  } finally {
    closeSync(descriptor);
  }
}

function uidOf(file: Part10File, keyword: 'StudyInstanceUID' | 'SeriesInstanceUID' | 'SOPInstanceUID' | 'SOPClassUID') {
  const uid = file.dataset.string(tags[keyword]);
  if (uid === undefined) throw new Refusal(`DICOM attribute ${keyword} does not exist`);
  if (!/^[0-9.]{1,64}$/.test(uid)) throw new Refusal(`DICOM attribute ${keyword} is no valid UID`);
  return uid;
}

interface StoredFrames {
  readonly frames: readonly StagedFrame[];
  readonly transferSyntaxUid: string | undefined;
}

const noFrames: StoredFrames = { frames: [], transferSyntaxUid: undefined };

async function writeFrames(plan: FramePlan, path: string): Promise<StoredFrames> {
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    let used = plan;
    let frames: StagedFrame[];
    try {
      frames = await writeEach(used, descriptor);
    } catch (error) {
      if (!(error instanceof InexactFrame)) throw error;
      ftruncateSync(descriptor, 0);
      used = { ...plan, storage: 'uncompressed' };
      frames = await writeEach(used, descriptor);
    }
    return { frames, transferSyntaxUid: storedSyntax(used) };
  } finally {
    closeSync(descriptor);
  }
}

/** The syntax that the document must name: none for the store's own format. */
function storedSyntax({ storage, receivedSyntaxUid }: FramePlan): string | undefined {
  if (storage === 'uncompressed' || storage === 'raw') return transferSyntax.explicitLittleEndian;
  if (storage === 'htj2k' || receivedSyntaxUid === transferSyntax.htj2kLosslessRpcl) return undefined;
  return receivedSyntaxUid;
}

async function writeEach(plan: FramePlan, descriptor: number): Promise<StagedFrame[]> {
  const frames: StagedFrame[] = [];
  let offset = 0;
  for (let index = 0; index < plan.numberOfFrames; index++) {
    const { bytes, entry } = await storeFrame(plan, index);
    writeAll(descriptor, bytes, offset);
    frames.push({ offset, lengthBytes: bytes.length, entry: { ID: newId(), ...entry } });
    offset += bytes.length;
  }
  return frames;
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(descriptor, bytes, at, bytes.length - at, position + at);
  }
}
