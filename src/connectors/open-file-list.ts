import { join } from 'node:path';
import { EndpointError } from '../errors.ts';
import { readNifti } from '../formats/nifti/reader.ts';
import { isPng, readPng } from '../formats/png/reader.ts';
import type { Volume } from '../imaging/volume.ts';
import { type ImageFile, isIgnorable, openDicomFiles, readImageFile } from './image-files.ts';
import type { LoadedInput } from './image-source.ts';
import { unpackZip, type ZipLimits } from './zip-files.ts';

/** What one input may hold. */
export const inputLimits: ZipLimits = { maxEntries: 20_000, maxBytes: 16 * 1024 ** 3 };

/**
 * Opens what a folder, a prefix, or a body turned out to hold: one NIfTI or PNG file, one zip of DICOM files, or
 * DICOM files.
 *
 * @throws EndpointError `input_not_found`, `unprocessable_image`, `payload_too_large`
 */
export async function openFileList(
  files: readonly ImageFile[],
  options: { readonly signal: AbortSignal; readonly scratchDir: string },
): Promise<LoadedInput> {
  // A picture beside DICOM files is no image of theirs; named by itself it is the image.
  const isAlone = files.length === 1 && /\.png$/i.test(files[0]?.name ?? '');
  const images = isAlone ? files : files.filter((file) => !isIgnorable(file.name));
  if (images.length === 0) throw new EndpointError('input_not_found', 'The input holds no image files.');
  const [only] = images as [ImageFile];
  const kind = images.length === 1 ? await kindOf(only) : 'dicom';
  if (kind === 'nifti') return { kind: 'volume', volume: readNifti(await readImageFile(only)) };
  if (kind === 'png') {
    const channels = readPng(await readImageFile(only));
    return { kind: 'volume', volume: channels[0] as Volume, channels };
  }
  if (kind === 'zip') {
    const unpacked = await unpackZip(only.path, join(options.scratchDir, 'zip'), inputLimits, options.signal);
    return { kind: 'dicom', series: await openDicomFiles(unpacked, options.signal) };
  }
  return { kind: 'dicom', series: await openDicomFiles(images, options.signal) };
}

/** What a file is by its first bytes; whatever is no zip, no NIfTI and no PNG is left to the DICOM reader to judge. */
export async function kindOf(file: ImageFile): Promise<'nifti' | 'png' | 'zip' | 'dicom'> {
  const start = file.start ?? 0;
  const head = await readImageFile({ ...file, end: Math.min(file.end ?? Number.POSITIVE_INFINITY, start + 352) });
  const magic = (at: number, ...bytes: number[]) => bytes.every((byte, index) => head[at + index] === byte);
  if (magic(0, 0x50, 0x4b)) return 'zip';
  if (magic(0, 0x1f, 0x8b)) return 'nifti';
  if (isPng(head)) return 'png';
  // NIfTI-1 ("n+1\0" at 344) and NIfTI-2 ("n+2\0" at 4).
  return magic(344, 0x6e, 0x2b, 0x31, 0) || magic(4, 0x6e, 0x2b, 0x32, 0) ? 'nifti' : 'dicom';
}
