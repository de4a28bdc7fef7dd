import { open, stat } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { EndpointError, throwIfAborted } from '../errors.ts';
import { DicomDataset, type ElementValue } from '../formats/dicom/dataset.ts';
import { tags } from '../formats/dicom/dictionary.ts';
import { isPart10, type Part10File, readPart10 } from '../formats/dicom/part10-reader.ts';
import { isNativeSyntax, transferSyntax } from '../formats/dicom/transfer-syntax.ts';
import type { SourceInstance, SourceSeries } from './image-source.ts';
import { mapWithLimit } from './map-with-limit.ts';

/** A file, or a range of one (a part of a spooled body). `name` only tells what may be passed over. */
export interface ImageFile {
  readonly path: string;
  readonly name: string;
  readonly start?: number;
  /** Behind the last byte. */
  readonly end?: number;
}

/** Files in memory at once while headers are read. */
const parallelReads = 8;
/** A file is read whole; this is also what one `Buffer` read takes. */
const maxFileBytes = 2 ** 31 - 1;
/** What a folder may hold beside its images. Anything else that is no DICOM object is an error: it may be a damaged slice. */
const ignorable = /^\.|^DICOMDIR$|\.(txt|md|json|xml|html?|pdf|csv|log|jpe?g|png|gif|ini|db|inf|exe)$/i;
const mediaDirectoryClass = '1.2.840.10008.1.3.10';

/** Multi-frame files stay open in memory for their next frame: this many, not more. */
const keptFiles = 2;

/** True for a file that may lie among images without being one. */
export const isIgnorable = (name: string): boolean => ignorable.test(name);

/**
 * Reads the headers of DICOM files and groups them into series; pixel data are read again, frame by frame, on demand.
 *
 * @throws EndpointError `unprocessable_image` for a file that is damaged or no DICOM object; `input_not_found` without any
 */
export async function openDicomFiles(files: readonly ImageFile[], signal: AbortSignal): Promise<SourceSeries[]> {
  const cache = new LRUCache<string, Part10File>({ max: keptFiles });
  let strange = 0;
  const opened = await mapWithLimit(files, parallelReads, async (file) => {
    throwIfAborted(signal);
    const bytes = await readImageFile(file);
    if (!isPart10(bytes)) {
      if (!isIgnorable(file.name)) strange++;
      return undefined;
    }
    return openInstance(file, readPart10(bytes), cache);
  });
  if (strange > 0) {
    throw new EndpointError(
      'unprocessable_image',
      `${strange} of ${files.length} files are no DICOM objects. Remove them, or send them again if they are damaged slices.`,
    );
  }
  const series = new Map<string, SourceInstance[]>();
  for (const instance of opened) {
    if (!instance) continue;
    // Anonymised files may have it empty: they are one series then, and the checks of the volume tell whether it is one.
    const uid = instance.attributes.string(tags.SeriesInstanceUID) ?? '';
    const list = series.get(uid) ?? [];
    list.push(instance);
    series.set(uid, list);
  }
  if (series.size === 0) throw new EndpointError('input_not_found', 'The input holds no DICOM objects.');
  return [...series].map(([seriesInstanceUid, instances]) => ({ seriesInstanceUid, instances }));
}

/** The bytes of a file or of its range. */
export async function readImageFile(file: ImageFile): Promise<Uint8Array> {
  const { size } = await stat(file.path);
  const start = file.start ?? 0;
  const length = Math.max(0, Math.min(file.end ?? size, size) - start);
  if (length > maxFileBytes) throw new EndpointError('payload_too_large', 'A file of the input is larger than 2 GiB.');
  const handle = await open(file.path, 'r');
  try {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await handle.read(bytes, at, length - at, start + at);
      if (bytesRead === 0)
        throw new EndpointError('unprocessable_image', 'A file of the input became shorter while it was read.');
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

function openInstance(
  file: ImageFile,
  part10: Part10File,
  cache: LRUCache<string, Part10File>,
): SourceInstance | undefined {
  const { numberOfFrames } = part10;
  const attributes = detached(part10.dataset);
  // Both stand in the file meta group as well (PS3.10 §7.1), which anonymisers forget to empty.
  for (const [tag, metaTag] of [
    [tags.SOPInstanceUID, tags.MediaStorageSOPInstanceUID],
    [tags.SOPClassUID, tags.MediaStorageSOPClassUID],
  ] as const) {
    const uid = part10.meta.string(metaTag);
    if (uid !== undefined && attributes.string(tag) === undefined) attributes.set(tag, 'UI', uid);
  }
  if (part10.meta.string(tags.MediaStorageSOPClassUID) === mediaDirectoryClass) return undefined;
  const key = `${file.path}:${file.start ?? 0}`;
  return {
    attributes,
    numberOfFrames,
    async readFrame(index, signal) {
      throwIfAborted(signal);
      let parsed = cache.get(key);
      if (!parsed) {
        parsed = readPart10(await readImageFile(file));
        if (numberOfFrames > 1) cache.set(key, parsed);
      }
      const { transferSyntaxUid } = parsed;
      // A copy of its own: a view would carry the whole file along when it goes to a thread.
      const bytes = parsed.frame(index).slice();
      // The reader gives every native frame as raw little-endian pixels.
      return {
        bytes,
        transferSyntaxUid: isNativeSyntax(transferSyntaxUid) ? transferSyntax.explicitLittleEndian : transferSyntaxUid,
      };
    },
  };
}

/** The data set with binary values of its own, so that it does not keep the file's bytes in memory. */
function detached(dataset: DicomDataset): DicomDataset {
  return new DicomDataset(
    dataset.entries().map(([tag, { vr, values }]) => [tag, { vr, values: values.map(detachedValue) }] as const),
  );
}

function detachedValue(value: ElementValue): ElementValue {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  return value instanceof DicomDataset ? detached(value) : value;
}
