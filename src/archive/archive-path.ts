import { EndpointError } from '../errors.ts';

/** What an archive or a tree may hold at most. */
export interface ArchiveLimits {
  /** Bytes of all files together; the archive file itself may not be bigger either. */
  readonly maxBytes: number;
  /** Files and folders. */
  readonly maxEntries: number;
}

const maxPathLength = 1024;
const maxSegmentBytes = 255;

/**
 * Checks the path of an entry and gives it in its plain form: segments joined by `/`, without a leading `./` or a
 * trailing slash; empty for the root itself.
 *
 * Refused: absolute paths and drives, `..`, backslashes, control characters, names that are not UTF-8, overlong names.
 *
 * @throws EndpointError `invalid_archive`
 */
export function checkEntryPath(path: string): string {
  if (path.length > maxPathLength) throw refused(path, 'its name is too long');
  if (path.includes('\uFFFD')) throw refused(path, 'its name is not UTF-8');
  if (/[\u0000-\u001f\u007f\\]/.test(path)) throw refused(path, 'its name has control characters or a backslash');
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) throw refused(path, 'its path is absolute');
  const segments = path
    .split('/')
    .filter((segment, index, all) => segment !== '.' && (segment !== '' || index < all.length - 1));
  for (const segment of segments) {
    if (segment === '..') throw refused(path, 'its path has ".."');
    if (segment === '') throw refused(path, 'its path has an empty segment');
    if (Buffer.byteLength(segment) > maxSegmentBytes) throw refused(path, 'its name is too long');
  }
  return segments.join('/');
}

/** Refusal of an entry, naming it in printable characters. */
export function refused(path: string, reason: string): EndpointError {
  const printable = path.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
  return new EndpointError('invalid_archive', `The model archive is refused at "${printable}": ${reason}.`);
}

/** Counts entries and bytes against the limits, and refuses names that would fall together on some file systems. */
export class EntryLedger {
  readonly #limits: ArchiveLimits;
  readonly #names = new Set<string>();
  #entries = 0;
  #bytes = 0;

  constructor(limits: ArchiveLimits) {
    this.#limits = limits;
  }

  /** @throws EndpointError `invalid_archive` */
  addFolder(): void {
    this.#count();
  }

  /** @throws EndpointError `invalid_archive` */
  addFile(path: string, sizeBytes: number): void {
    this.#count();
    const folded = path.normalize('NFC').toLowerCase();
    if (this.#names.has(folded)) throw refused(path, 'the name occurs twice (capitals do not count)');
    this.#names.add(folded);
    this.#bytes += sizeBytes;
    if (!(this.#bytes <= this.#limits.maxBytes)) {
      const message = `The model archive holds more than ${this.#limits.maxBytes} bytes (MAX_ARCHIVE_BYTES).`;
      throw new EndpointError('invalid_archive', message);
    }
  }

  #count(): void {
    this.#entries++;
    if (this.#entries > this.#limits.maxEntries) {
      const message = `The model archive holds more than ${this.#limits.maxEntries} entries (MAX_ARCHIVE_ENTRIES).`;
      throw new EndpointError('invalid_archive', message);
    }
  }
}
