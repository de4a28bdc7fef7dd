import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isInside, type Location } from '../allowed-locations.ts';
import type { ImportObjectStore } from './object-port.ts';

/** A file that a job was given. */
export interface InputFile {
  /** What the job's output calls it: the object's key, or the path. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Where a local file lies; undefined for an object, which is fetched first. */
  readonly path: string | undefined;
  /** Why it is not read at all: it leads out of the folder, or is no regular file. */
  readonly refused: string | undefined;
}

/** How much a job may bring (the service's quotas by default). */
export interface ImportQuotas {
  readonly filesPerJob: number;
  readonly bytesPerJob: number;
  readonly bytesPerFile: number;
  readonly foldersPerJob: number;
}

export const serviceQuotas: ImportQuotas = {
  filesPerJob: 5_000,
  bytesPerJob: 10 * 1024 ** 3,
  bytesPerFile: 4 * 1024 ** 3,
  foldersPerJob: 10_000,
};

/** Why a whole job fails; the text goes into its `message`. */
export class JobFailure extends Error {
  override readonly name = 'JobFailure';
}

export const diskFull = 'The disk of the server is full. Free some space and start the job again.';

/**
 * Every file under the input, in the order of their names: the order decides which of two conflicting instances comes
 * first, so it must not depend on the disk.
 *
 * @throws JobFailure when the input is missing, empty or above a quota
 */
export async function listInput(
  location: Location,
  quotas: ImportQuotas,
  objects: ImportObjectStore | undefined,
  signal: AbortSignal,
): Promise<InputFile[]> {
  const found =
    location.kind === 'folder' ? folderFiles(location.path, quotas) : objectFiles(location, objects, signal);
  const files: InputFile[] = [];
  let bytes = 0;
  for await (const file of found) {
    signal.throwIfAborted();
    files.push(file);
    bytes += file.sizeBytes;
    if (files.length > quotas.filesPerJob) {
      throw new JobFailure(`The input holds more than ${quotas.filesPerJob} files. Split it into several jobs.`);
    }
    if (bytes > quotas.bytesPerJob) {
      throw new JobFailure(`The input holds more than ${quotas.bytesPerJob} bytes. Split it into several jobs.`);
    }
  }
  if (files.length === 0) throw new JobFailure('No files were found under inputS3Uri.');
  return files;
}

async function* folderFiles(root: string, quotas: ImportQuotas): AsyncGenerator<InputFile> {
  let real: string;
  try {
    real = await realpath(root);
    if (!(await stat(real)).isDirectory()) throw new JobFailure('inputS3Uri names a file. It must name a folder.');
  } catch (error) {
    if (error instanceof JobFailure) throw error;
    throw new JobFailure('The folder that inputS3Uri names cannot be read.');
  }
  let folders = 0;
  const walk = async function* (folder: string): AsyncGenerator<InputFile> {
    folders += 1;
    if (folders > quotas.foldersPerJob) {
      throw new JobFailure(`The input holds more than ${quotas.foldersPerJob} folders.`);
    }
    for (const name of (await readdir(folder)).sort()) {
      const path = join(folder, name);
      const entry = await lstat(path);
      if (entry.isDirectory()) yield* walk(path);
      else if (entry.isFile()) yield { name: path, sizeBytes: entry.size, path, refused: undefined };
      else yield await linkedFile(path, real, entry.isSymbolicLink());
    }
  };
  yield* walk(real);
}

/** A symbolic link to a file inside the folder is that file; to anywhere else it is refused. Links to folders too. */
async function linkedFile(path: string, root: string, isLink: boolean): Promise<InputFile> {
  const refusal = (refused: string): InputFile => ({ name: path, sizeBytes: 0, path: undefined, refused });
  if (!isLink) return refusal('The entry is no regular file.');
  const target = await realpath(path).catch(() => undefined);
  if (target === undefined) return refusal('The symbolic link leads nowhere.');
  if (!isInside(target, root)) return refusal('The symbolic link leads out of the input folder.');
  const entry = await stat(target);
  if (!entry.isFile()) return refusal('The symbolic link does not lead to a file.');
  return { name: path, sizeBytes: entry.size, path: target, refused: undefined };
}

async function* objectFiles(
  location: { readonly bucket: string; readonly prefix: string },
  objects: ImportObjectStore | undefined,
  signal: AbortSignal,
): AsyncGenerator<InputFile> {
  if (!objects) throw new JobFailure('This server has no object store for s3 URIs.');
  for await (const { key, sizeBytes } of objects.list(location, signal)) {
    // "Folders" of consoles and tools: empty objects whose key ends in a slash.
    if (key.endsWith('/') && sizeBytes === 0) continue;
    yield { name: key, sizeBytes, path: undefined, refused: undefined };
  }
}
