import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, realpath, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EndpointError, throwIfAborted } from '../../errors.ts';
import { intoFile } from '../into-file.ts';

/** The `StoredArchive` of the model cache's port. */
interface StoredArchive {
  readonly kind: 'archive' | 'directory';
  readonly version: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

const suffix = '.tar.gz';
const maxFiles = 100_000;

/** Model archives in a folder: `<name>.tar.gz`, or the unpacked bundle `<name>/`. Links are nothing. */
export class FolderArchives {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async head(target: string, signal: AbortSignal): Promise<StoredArchive | undefined> {
    throwIfAborted(signal);
    try {
      return (await this.#archive(target)) ?? (await this.#directory(target, signal));
    } catch (error) {
      throw readError(error);
    }
  }

  async download(
    target: string,
    stored: { kind: string; version: string },
    toPath: string,
    signal: AbortSignal,
  ): Promise<void> {
    throwIfAborted(signal);
    try {
      if (stored.kind === 'archive') await copyFile(join(this.#root, target), toPath, signal);
      else await copyFolder(join(this.#root, nameOf(target)), toPath, signal);
      const now = await this.head(target, signal);
      if (!now) throw gone();
      if (now.kind !== stored.kind || now.version !== stored.version) {
        throw new EndpointError('upstream_failed', 'The model archive changed while it was being copied. Try again.');
      }
    } catch (error) {
      await rm(toPath, { recursive: true, force: true });
      throwIfAborted(signal);
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw gone();
      throw readError(error);
    }
  }

  async #archive(target: string): Promise<StoredArchive | undefined> {
    const path = join(this.#root, target);
    const found = await ownStat(this.#root, path);
    if (!found?.isFile()) return undefined;
    return {
      kind: 'archive',
      version: versionOf(found),
      sizeBytes: Number(found.size),
      modifiedAtMs: Number(found.mtimeMs),
    };
  }

  async #directory(target: string, signal: AbortSignal): Promise<StoredArchive | undefined> {
    const path = join(this.#root, nameOf(target));
    if (!(await ownStat(this.#root, path))?.isDirectory()) return undefined;
    const hash = createHash('sha256');
    let sizeBytes = 0;
    let modifiedAtMs = 0;
    for (const { name, found } of await filesUnder(path, signal)) {
      hash.update(`${name}\0${versionOf(found)}\n`);
      sizeBytes += Number(found.size);
      modifiedAtMs = Math.max(modifiedAtMs, Number(found.mtimeMs), Number(found.ctimeMs));
    }
    return { kind: 'directory', version: hash.digest('hex'), sizeBytes, modifiedAtMs };
  }
}

type BigStats = Awaited<ReturnType<typeof bigLstat>>;
const bigLstat = (path: string) => lstat(path, { bigint: true });

const nameOf = (target: string): string => (target.endsWith(suffix) ? target.slice(0, -suffix.length) : target);
const versionOf = (found: BigStats): string => `${found.size}-${found.mtimeNs}-${found.ctimeNs}-${found.ino}`;

/** What lies at a path without a link on the way from the root to it; undefined when there is nothing. */
async function ownStat(root: string, path: string): Promise<BigStats | undefined> {
  try {
    const found = await bigLstat(path);
    const real = await realpath(path);
    return real === join(await realpath(root), relative(root, path)) ? found : undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
}

async function filesUnder(root: string, signal: AbortSignal): Promise<{ name: string; found: BigStats }[]> {
  const files: { name: string; found: BigStats }[] = [];
  const walk = async (folder: string): Promise<void> => {
    throwIfAborted(signal);
    for (const name of (await readdir(folder)).sort()) {
      const path = join(folder, name);
      const found = await bigLstat(path);
      if (found.isDirectory()) await walk(path);
      else files.push({ name: relative(root, path), found });
      if (files.length > maxFiles)
        throw new EndpointError('invalid_archive', `The unpacked bundle has more than ${maxFiles} files.`);
    }
  };
  await walk(root);
  return files;
}

async function copyFolder(from: string, to: string, signal: AbortSignal): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const name of (await readdir(from)).sort()) {
    throwIfAborted(signal);
    const found = await lstat(join(from, name));
    if (found.isDirectory()) await copyFolder(join(from, name), join(to, name), signal);
    else if (found.isFile()) await copyFile(join(from, name), join(to, name), signal);
    else
      throw new EndpointError(
        'invalid_archive',
        'The unpacked bundle holds a link or a special file. Put the file itself there.',
      );
  }
}

async function copyFile(from: string, to: string, signal: AbortSignal): Promise<void> {
  await intoFile(to, { flags: 'wx', mode: 0o600 }, (file) => pipeline(createReadStream(from), file, { signal }));
}

function gone(): EndpointError {
  return new EndpointError('model_not_found', 'The model archive is no longer in the models folder.');
}

function readError(error: unknown): unknown {
  if (error instanceof EndpointError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined) return error;
  const hint =
    code === 'EACCES' || code === 'EPERM'
      ? 'access denied. Give the endpoint the right to read it'
      : `the file system reports ${code}`;
  return new EndpointError('upstream_failed', `The models folder cannot be read: ${hint}.`, { cause: error });
}
