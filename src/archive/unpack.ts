import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { abortError, EndpointError, throwIfAborted } from '../errors.ts';
import { type ArchiveLimits, checkEntryPath, EntryLedger, refused } from './archive-path.ts';
import type { TreeFile } from './digest.ts';

/** Unpacked over packed bytes; real weights hardly reach 3, gzip itself ends at 1,032. */
const maxRatio = 250;
/** Below this many unpacked bytes the ratio doesn't matter. */
const ratioFreeBytes = 64 * 1024 * 1024;
const chunkBytes = 128 * 1024;
/** Headers, extended headers and padding of an entry hardly take more. */
const entryOverheadBytes = 8 * 1024;

/**
 * Unpacks a `.tar.gz` into a folder that does not exist yet; everything lies in a temporary folder beside it until
 * the last byte was read and checked.
 *
 * Only regular files and folders pass; modes, owners and times are not taken over. The format is read by `tar`; the
 * files are made here, exclusively, so that nothing is ever written through what lies there already.
 *
 * @returns the files, with their hashes
 * @throws EndpointError `invalid_archive`; the signal's reason. Nothing stays behind
 */
export async function unpackArchive(
  archivePath: string,
  toDir: string,
  limits: ArchiveLimits,
  signal: AbortSignal,
): Promise<TreeFile[]> {
  const partDir = join(dirname(toDir), `.unpacking-${randomBytes(6).toString('hex')}`);
  try {
    const { size } = await stat(archivePath);
    if (size > limits.maxBytes) {
      const message = `The model archive has ${size} bytes; ${limits.maxBytes} are allowed (MAX_ARCHIVE_BYTES).`;
      throw new EndpointError('invalid_archive', message);
    }
    await mkdir(partDir, { mode: 0o700 });
    const unpacking = new Unpacking(partDir, limits, signal);
    try {
      await unpacking.run(archivePath);
    } finally {
      await unpacking.close();
    }
    await rename(partDir, toDir);
    return unpacking.files;
  } catch (thrown) {
    await rm(partDir, { recursive: true, force: true });
    throw signal.aborted ? abortError(signal) : asArchiveError(thrown);
  }
}

/** One run over an archive. */
class Unpacking {
  readonly files: TreeFile[] = [];
  readonly #dir: string;
  readonly #signal: AbortSignal;
  readonly #limits: ArchiveLimits;
  readonly #ledger: EntryLedger;
  readonly #folders = new Set<string>(['']);
  /** What a chunk brought is written, in order, before the next chunk is read. */
  #writing: Promise<void> = Promise.resolve();
  #open: FileHandle | undefined;
  #failure: unknown;

  constructor(dir: string, limits: ArchiveLimits, signal: AbortSignal) {
    this.#dir = dir;
    this.#signal = signal;
    this.#limits = limits;
    this.#ledger = new EntryLedger(limits);
  }

  async run(archivePath: string): Promise<void> {
    // In strict mode every irregularity is an error.
    const parser = new Parser({ strict: true, onReadEntry: (entry) => this.#accept(entry) });
    let isOver = false;
    let isWhole = false;
    parser.on('ignoredEntry', (entry: ReadEntry) => this.#fail(refused(entry.path, 'it is of an unknown kind')));
    parser.on('error', (error) => this.#fail(error));
    parser.on('eof', () => {
      isOver = true;
    });
    parser.on('end', () => {
      isWhole = true;
    });
    for await (const chunk of this.#unzipped(archivePath)) {
      if (!isOver) parser.write(chunk); // only padding follows; it is read on to the checksum of gzip
      await this.#written();
    }
    parser.end();
    await this.#written();
    if (!isWhole || this.files.length === 0) {
      throw new EndpointError('invalid_archive', 'The model archive holds no file or is cut off.');
    }
  }

  async *#unzipped(archivePath: string): AsyncGenerator<Buffer> {
    const packed = createReadStream(archivePath, { highWaterMark: chunkBytes, signal: this.#signal });
    const gunzip = createGunzip({ chunkSize: chunkBytes });
    packed.on('error', (error) => gunzip.destroy(error));
    packed.pipe(gunzip);
    try {
      let bytes = 0;
      let first = true;
      for await (const chunk of gunzip as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > ratioFreeBytes && bytes > packed.bytesRead * maxRatio) {
          throw new EndpointError('invalid_archive', `The model archive unpacks to over ${maxRatio} times its size.`);
        }
        if (bytes > this.#limits.maxBytes + this.#limits.maxEntries * entryOverheadBytes) {
          const message = `The model archive unpacks to more than ${this.#limits.maxBytes} bytes (MAX_ARCHIVE_BYTES).`;
          throw new EndpointError('invalid_archive', message);
        }
        if (first) checkInnerMagic(chunk);
        first = false;
        yield chunk;
      }
    } finally {
      packed.destroy();
      gunzip.destroy();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }

  async #written(): Promise<void> {
    await this.#writing;
    throwIfAborted(this.#signal);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #accept(entry: ReadEntry): void {
    try {
      const path = checkEntryPath(entry.path);
      switch (entry.type) {
        case 'Directory':
        case 'GNUDumpDir':
          this.#ledger.addFolder();
          this.#then(() => this.#makeFolder(path));
          entry.resume();
          break;
        case 'File':
        case 'OldFile':
        case 'ContiguousFile':
          if (((entry.mode ?? 0) & 0o6000) !== 0) throw refused(path, 'it is setuid or setgid');
          if (path === '' || entry.path.endsWith('/')) throw refused(entry.path, 'a file cannot be named so');
          this.#ledger.addFile(path, entry.size);
          this.#writeFile(path, entry);
          break;
        default:
          throw refused(path, 'it is a link or a special file');
      }
    } catch (thrown) {
      this.#fail(thrown);
      entry.resume();
    }
  }

  #then(step: () => Promise<void>): void {
    this.#writing = this.#writing.then(async () => {
      if (this.#failure !== undefined) return;
      try {
        await step();
      } catch (thrown) {
        this.#fail(thrown);
      }
    });
  }

  async #makeFolder(path: string): Promise<void> {
    if (this.#folders.has(path)) return;
    await this.#makeFolder(parentOf(path));
    await mkdir(join(this.#dir, path), { mode: 0o700 });
    this.#folders.add(path);
  }

  #writeFile(path: string, entry: ReadEntry): void {
    let file: FileHandle | undefined;
    const hash = createHash('sha256');
    let sizeBytes = 0;
    this.#then(async () => {
      await this.#makeFolder(parentOf(path));
      file = await open(join(this.#dir, path), 'wx', 0o600);
      this.#open = file;
    });
    entry.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      sizeBytes += chunk.length;
      this.#then(async () => void (await file?.write(chunk)));
    });
    entry.on('end', () => {
      this.#then(async () => {
        await file?.close();
        this.#open = undefined;
        if (sizeBytes !== entry.size) throw refused(path, 'its data is cut off');
        this.files.push({ path, sizeBytes, sha256: hash.digest('hex') });
      });
    });
  }

  /** Closes what a failure left open. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#open?.close().catch(() => undefined);
  }
}

const parentOf = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '');

/** A second layer of compression would be unpacked by `tar` unasked, past the checks here. */
function checkInnerMagic(chunk: Buffer): void {
  const isCompressed = (chunk[0] === 0x1f && chunk[1] === 0x8b) || (chunk[0] === 0x28 && chunk[1] === 0xb5);
  if (isCompressed) throw new EndpointError('invalid_archive', 'The model archive is compressed twice.');
}

/** Faults of gzip, tar and names that the file system refuses are the archive's; a full disk is ours. */
function asArchiveError(thrown: unknown): EndpointError {
  if (thrown instanceof EndpointError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new EndpointError('internal', 'There is no space on the disk to unpack the model.', { cause: thrown });
  }
  if (code.startsWith('Z_')) {
    const message = 'The model archive is no whole gzip file: it is cut off or damaged.';
    return new EndpointError('invalid_archive', message, { cause: thrown });
  }
  if (code.startsWith('TAR_')) {
    return new EndpointError('invalid_archive', 'The model archive is no whole tar file.', { cause: thrown });
  }
  if (['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'EINVAL', 'EILSEQ'].includes(code)) {
    const message = 'The model archive holds names that cannot stand side by side in a folder.';
    return new EndpointError('invalid_archive', message, { cause: thrown });
  }
  return new EndpointError('internal', 'The model archive could not be unpacked.', { cause: thrown });
}
