import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { replaceFile } from '../../durable-files.ts';
import { EndpointError, throwIfAborted } from '../../errors.ts';
import type { AllowedUris } from '../allowed-uris.ts';
import type { OutputSink, OutputTransaction } from '../output-sink.ts';

const statusFile = 'status.json';

/** Writes results into a folder: all into a temporary folder beside it, which a rename then turns into the result. */
export class FilesystemSink implements OutputSink {
  readonly #allowed: AllowedUris;

  constructor(allowed: AllowedUris) {
    this.#allowed = allowed;
  }

  accepts(uri: string): boolean {
    return /^file:/i.test(uri);
  }

  async readResult(prefixUri: string, signal: AbortSignal): Promise<unknown> {
    const folder = await this.#folder(prefixUri);
    throwIfAborted(signal);
    try {
      return JSON.parse(await readFile(join(folder, 'result.json'), 'utf8'));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw outputError(error, 'read');
    }
  }

  async readStatus(prefixUri: string, signal: AbortSignal): Promise<unknown> {
    const folder = await this.#folder(prefixUri);
    throwIfAborted(signal);
    try {
      return JSON.parse(await readFile(join(folder, statusFile), 'utf8'));
    } catch {
      return undefined;
    }
  }

  async writeStatus(prefixUri: string, status: unknown): Promise<void> {
    const folder = await this.#folder(prefixUri);
    try {
      await mkdir(folder, { recursive: true });
      await replaceFile(join(folder, statusFile), `${JSON.stringify(status, undefined, 2)}\n`);
    } catch (error) {
      throw outputError(error, 'written');
    }
  }

  async begin(prefixUri: string, signal: AbortSignal): Promise<OutputTransaction> {
    const folder = await this.#folder(prefixUri);
    throwIfAborted(signal);
    const parent = dirname(folder);
    for (let attempt = 1; ; attempt++) {
      try {
        const firstMade = await mkdir(parent, { recursive: true });
        await removeAbandoned(parent);
        const partial = join(parent, `${partialPrefix(process.pid)}${randomBytes(6).toString('hex')}`);
        await mkdir(partial);
        return new FolderTransaction(folder, partial, firstMade);
      } catch (error) {
        // Another request's abort may have taken the empty parent away in between.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === 3) throw outputError(error, 'written');
      }
    }
  }

  async discard(prefixUri: string): Promise<void> {
    const parent = dirname(await this.#folder(prefixUri));
    try {
      await removeAbandoned(parent);
      await rmdir(parent);
    } catch {
      // Not empty, or gone: then there is nothing of ours in it.
    }
  }

  async #folder(prefixUri: string): Promise<string> {
    const checked = await this.#allowed.check(prefixUri);
    if (checked.scheme !== 'file') throw new EndpointError('internal', 'This sink writes folders only.');
    return checked.path.replace(/\/+$/, '');
  }
}

class FolderTransaction implements OutputTransaction {
  readonly #folder: string;
  readonly #partial: string;
  /** The topmost folder that had to be made for this result: an abort takes the chain away again. */
  readonly #firstMade: string | undefined;
  #committed = false;

  constructor(folder: string, partial: string, firstMade: string | undefined) {
    this.#folder = folder;
    this.#partial = partial;
    this.#firstMade = firstMade;
  }

  async write(name: string, bytes: Uint8Array): Promise<string> {
    await this.#writeDurably(name, bytes);
    return pathToFileURL(join(this.#folder, name)).href;
  }

  async commit(result: unknown): Promise<void> {
    await this.#writeDurably('result.json', Buffer.from(`${JSON.stringify(result, undefined, 2)}\n`));
    const aside = `${this.#partial}-replaced`;
    try {
      await syncFolder(this.#partial);
      const replaced = await rename(this.#folder, aside).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return false;
          throw error;
        },
      );
      await rename(this.#partial, this.#folder).catch(async (error) => {
        if (replaced) await rename(aside, this.#folder);
        throw error;
      });
      this.#committed = true;
      await syncFolder(dirname(this.#folder));
      if (replaced) await rm(aside, { recursive: true, force: true });
    } catch (error) {
      throw outputError(error, 'written');
    }
  }

  async abort(): Promise<void> {
    if (this.#committed) return;
    try {
      await rm(this.#partial, { recursive: true, force: true });
      if (this.#firstMade === undefined) return;
      for (let folder = dirname(this.#folder); folder.length >= this.#firstMade.length; folder = dirname(folder)) {
        await rmdir(folder); // Fails, and so ends the way up, where somebody else has put something.
      }
    } catch {
      // What cannot be removed has no result.json and is no result.
    }
  }

  async #writeDurably(name: string, bytes: Uint8Array): Promise<void> {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
      throw new EndpointError('internal', 'An output has no plain file name.');
    try {
      const file = await open(join(this.#partial, name), 'wx');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw outputError(error, 'written');
    }
  }
}

const partialPrefix = (pid: number): string => `.partial-${hostname()}-${pid}-`;

/** Removes what processes of this machine that are gone have left half-written. */
async function removeAbandoned(parent: string): Promise<void> {
  const marker = `.partial-${hostname()}-`;
  for (const name of await readdir(parent)) {
    if (!name.startsWith(marker)) continue;
    const pid = Number.parseInt(name.slice(marker.length), 10);
    if (!isAlive(pid)) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function outputError(error: unknown, verb: 'read' | 'written'): EndpointError {
  if (error instanceof EndpointError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  const reasons: Record<string, string> = {
    ENOSPC: 'its disk is full. Free space there, or name another output',
    EDQUOT: 'its quota is used up. Free space there, or name another output',
    EACCES: 'access denied. Give the endpoint the right to write there',
    EPERM: 'access denied. Give the endpoint the right to write there',
    EROFS: 'its disk is read-only. Name another output',
    ENOTDIR: 'a part of its path is a file. Name another output',
  };
  return new EndpointError(
    'upstream_failed',
    `The output folder cannot be ${verb}: ${reasons[code] ?? `the file system reports ${code}`}.`,
    { cause: error },
  );
}
