import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { EndpointError, throwIfAborted } from '../../errors.ts';
import type { AllowedUris } from '../allowed-uris.ts';
import type { ImageFile } from '../image-files.ts';
import type { ImageSource, InputReference, LoadedInput } from '../image-source.ts';
import { inputLimits, openFileList } from '../open-file-list.ts';

const maxDepth = 16;

/** Reads a folder of DICOM files, or one DICOM, NIfTI or zip file, by a `file://` URI. */
export class FilesystemSource implements ImageSource {
  readonly #allowed: AllowedUris;

  constructor(allowed: AllowedUris) {
    this.#allowed = allowed;
  }

  accepts(reference: InputReference): boolean {
    return 'uri' in reference && /^file:/i.test(reference.uri);
  }

  async open(reference: InputReference, options: { signal: AbortSignal; scratchDir: string }): Promise<LoadedInput> {
    if (!('uri' in reference)) throw new EndpointError('internal', 'This source reads file URIs only.');
    const checked = await this.#allowed.check(reference.uri);
    if (checked.scheme !== 'file') throw new EndpointError('internal', 'This source reads file URIs only.');
    const path = checked.path.length > 1 ? checked.path.replace(/\/+$/, '') : checked.path;
    try {
      const found = await stat(path);
      const files = found.isDirectory()
        ? await this.#list(path, options.signal)
        : found.isFile()
          ? [{ path, name: basename(path) }]
          : [];
      return await openFileList(files, options);
    } catch (error) {
      throw readError(error);
    }
  }

  /** All files under a folder, sorted by path. A link is followed where its real path is allowed, else refused. */
  async #list(folder: string, signal: AbortSignal): Promise<ImageFile[]> {
    const files: ImageFile[] = [];
    const walk = async (current: string, depth: number): Promise<void> => {
      throwIfAborted(signal);
      if (depth > maxDepth) throw new EndpointError('unprocessable_image', 'The input folder is nested too deeply.');
      for (const name of (await readdir(current)).sort()) {
        const path = join(current, name);
        const found = await lstat(path);
        if (found.isSymbolicLink()) {
          const target = await realpath(path);
          if (!(await this.#allowed.coversRealPath(target))) {
            throw new EndpointError('forbidden', 'A link in the input folder leads outside ALLOWED_URIS.');
          }
          if ((await stat(target)).isFile()) files.push({ path: target, name });
          else
            throw new EndpointError(
              'unprocessable_image',
              'The input folder holds a link to a folder. Name that folder.',
            );
        } else if (found.isDirectory()) await walk(path, depth + 1);
        else if (found.isFile()) files.push({ path, name });
        if (files.length > inputLimits.maxEntries) {
          throw new EndpointError(
            'payload_too_large',
            `The input folder holds more than ${inputLimits.maxEntries} files.`,
          );
        }
      }
    };
    await walk(folder, 0);
    return files;
  }
}

function readError(error: unknown): unknown {
  if (error instanceof EndpointError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new EndpointError('input_not_found', 'The input folder or file does not exist.', { cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const message = 'The input folder or file cannot be read: access denied. Give the endpoint the right to read it.';
    return new EndpointError('upstream_failed', message, { cause: error });
  }
  return error;
}
