import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { ThreadPool } from '../compute/pool.ts';
import { type DicomObject, dicomObject } from '../connectors/healthimaging/dicom-object.ts';
import { findImageSets } from '../connectors/healthimaging/find-image-sets.ts';
import { createHealthImagingClient } from '../connectors/healthimaging/healthimaging-client.ts';
import { HealthImagingSource } from '../connectors/healthimaging/healthimaging-source.ts';
import type { SourceInstance } from '../connectors/image-source.ts';
import { mapWithLimit } from '../connectors/map-with-limit.ts';
import { EndpointError } from '../errors.ts';
import { framePng } from '../formats/png/frame-png.ts';
import { type ImagingFlags, imagingLocation } from './endpoint-clients.ts';
import { UsageError } from './exit-codes.ts';
import { createTerminal, formatTable } from './terminal.ts';

/** What `map-endpoint dicomize` was told. */
export interface DicomizeFlags extends ImagingFlags {
  readonly datastore: string;
  readonly imageSet?: string;
  readonly study?: string;
  readonly all: boolean;
  readonly output: string;
  readonly png: boolean;
  /** Resolution level of the pictures. */
  readonly level: number;
  readonly keepStored: boolean;
  readonly json: boolean;
}

interface WrittenImageSet {
  readonly imageSetId: string;
  readonly folder: string;
  readonly instances: number;
  readonly frames: number;
  readonly bytes: number;
}

/** Instances in memory at once: an instance is made whole before it is written. */
const parallelInstances = 6;

/** `map-endpoint dicomize`. */
export async function runDicomize(flags: DicomizeFlags): Promise<void> {
  const given = [flags.imageSet !== undefined, flags.study !== undefined, flags.all].filter(Boolean);
  if (flags.level > 0 && !flags.png) throw new UsageError('--level is the resolution of the pictures: give --png.');
  if (given.length !== 1) throw new UsageError('Give one of --image-set, --study and --all.');
  const terminal = createTerminal(flags.json);
  const stop = new AbortController();
  const location = imagingLocation(flags);
  const source = new HealthImagingSource(location);
  const pool = new ThreadPool(availableParallelism());
  try {
    const imageSetIds = await wantedImageSets(flags, stop.signal);
    const written: WrittenImageSet[] = [];
    for (const [index, imageSetId] of imageSetIds.entries()) {
      const where = `image set ${index + 1} of ${imageSetIds.length}`;
      written.push(
        await writeImageSet(imageSetId, flags, { source, pool, stop }, (done, of) =>
          terminal.progress(`${where}: ${done} of ${of} instances`),
        ),
      );
    }
    terminal.json({ datastoreId: flags.datastore, imageSets: written });
    const rows = written.map((set) => [set.imageSetId, set.instances, set.frames, set.bytes, set.folder] as const);
    for (const row of formatTable([['image set', 'instances', 'frames', 'bytes', 'folder'], ...rows])) {
      terminal.line(row);
    }
  } finally {
    await source.close();
    await pool.close();
  }
}

async function wantedImageSets(flags: DicomizeFlags, signal: AbortSignal): Promise<string[]> {
  if (flags.imageSet !== undefined) return [flags.imageSet];
  const client = await createHealthImagingClient(imagingLocation(flags));
  try {
    const filter = flags.study === undefined ? undefined : { DICOMStudyInstanceUID: flags.study };
    const found = await findImageSets(client, flags.datastore, filter, { signal });
    if (found.length === 0) {
      throw new EndpointError('input_not_found', `Data store ${flags.datastore} has no such image set.`);
    }
    return found.map(({ imageSetId }) => imageSetId);
  } finally {
    client.destroy();
  }
}

async function writeImageSet(
  imageSetId: string,
  flags: DicomizeFlags,
  { source, pool, stop }: { source: HealthImagingSource; pool: ThreadPool; stop: AbortController },
  onProgress: (done: number, of: number) => void,
): Promise<WrittenImageSet> {
  const loaded = await source.open({ datastoreId: flags.datastore, imageSetId }, { signal: stop.signal });
  if (loaded.kind !== 'dicom') throw new EndpointError('internal', 'An image set is no volume.');
  const instances = loaded.series.flatMap((series) => series.instances);
  if (!/^[0-9a-z]{32}$/.test(imageSetId)) throw new EndpointError('invalid_request', 'An image set id is malformed.');
  const folder = resolve(flags.output, imageSetId);
  await mkdir(folder, { recursive: true });
  let done = 0;
  const sizes = await mapWithLimit(instances, parallelInstances, async (instance) => {
    try {
      const object = await dicomObject(instance, {
        pool,
        signal: stop.signal,
        keepStored: flags.keepStored,
        pictureLevel: flags.png ? flags.level : 0,
      });
      await writeWhole(join(folder, `${object.sopInstanceUid}.dcm`), object.bytes);
      if (flags.png) await writePictures(folder, object, instance);
      onProgress(++done, instances.length);
      return object.bytes.length;
    } catch (error) {
      // One bad frame stops the others, in their fetches too.
      stop.abort(error);
      throw error;
    }
  });
  return {
    imageSetId,
    folder,
    instances: instances.length,
    frames: instances.reduce((sum, { numberOfFrames }) => sum + numberOfFrames, 0),
    bytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

async function writePictures(folder: string, object: DicomObject, instance: SourceInstance): Promise<void> {
  const { format, frames, sopInstanceUid } = object;
  if (!format) return;
  for (const [index, pixels] of frames.entries()) {
    const suffix = frames.length === 1 ? '' : `-${String(index + 1).padStart(4, '0')}`;
    const png = framePng(pixels, format, instance.attributes);
    await writeWhole(join(folder, `${sopInstanceUid}${suffix}.png`), png);
  }
}

/** No half file is ever seen under the name. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await writeFile(partial, bytes);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
