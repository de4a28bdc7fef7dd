import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { LRUCache } from 'lru-cache';
import { readJson } from '../durable-files.ts';
import type { Catalog } from './catalog.ts';
import { blobPath, versionFiles } from './layout.ts';
import type { BlobIndex, ImageSetVersion } from './records.ts';
import { notFound } from './service-error.ts';

/**
 * Frames up to this size are read in one go and by the calling thread, larger ones are streamed: three trips to the
 * threads of the file system cost more than the bytes of a frame.
 */
const wholeReadBytes = 1024 * 1024;
/** Indexes kept in memory: about 60 bytes a frame. */
const indexCacheFrames = 200_000;

/** A frame as it is stored: its bytes, with the memory that `take` gave for them, or a stream of them. */
export interface StoredFrameBytes {
  readonly lengthBytes: number;
  readonly content: Buffer | Readable;
  readonly memory?: Buffer;
}

/** Reads documents and frames of image sets from disk. */
export class ImageSetFiles {
  readonly #catalog: Catalog;
  readonly #indexes = new LRUCache<string, BlobIndex>({
    maxSize: indexCacheFrames,
    sizeCalculation: (index) => Object.keys(index.frames).length + 1,
  });

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** The metadata document of a version, gzip-compressed. */
  async metadata(datastoreId: string, imageSetId: string, version: number): Promise<Buffer> {
    const folder = this.#catalog.layout.version(datastoreId, imageSetId, version);
    return gone(readFile(join(folder, versionFiles.metadata)), imageSetId);
  }

  /**
   * One frame of the latest version, as it is stored.
   *
   * @param take - gives memory of at least so many bytes
   * @throws ServiceError `ResourceNotFoundException`
   */
  async frame(
    datastoreId: string,
    imageSetId: string,
    frameId: string,
    take: (lengthBytes: number) => Buffer,
  ): Promise<StoredFrameBytes> {
    const { version } = this.#catalog.imageSet(datastoreId, imageSetId);
    const index = await this.#index(datastoreId, imageSetId, version);
    const place = Object.hasOwn(index.frames, frameId) ? index.frames[frameId] : undefined;
    if (!place) throw notFound(`Image frame ${frameId} does not exist in image set ${imageSetId}.`);
    const [blob, offset, lengthBytes] = place;
    const path = blobPath(this.#catalog.layout.versions(datastoreId, imageSetId), blob, '.frames');
    const file = await gone(opened(path), imageSetId);
    if (lengthBytes > wholeReadBytes) {
      return { lengthBytes, content: createReadStream('', { fd: file, start: offset, end: offset + lengthBytes - 1 }) };
    }
    try {
      const memory = take(lengthBytes);
      const bytesRead = readSync(file, memory, 0, lengthBytes, offset);
      if (bytesRead !== lengthBytes) throw new Error('A stored frame is shorter than its index says.');
      return { lengthBytes, content: memory.subarray(0, lengthBytes), memory };
    } finally {
      closeSync(file);
    }
  }

  /** Where frames of one instance lie: all in one file. */
  async places(
    { datastoreId, imageSetId, version }: ImageSetVersion,
    frameIds: readonly string[],
  ): Promise<{ readonly path: string; readonly frames: readonly { offset: number; lengthBytes: number }[] }> {
    const index = await this.#index(datastoreId, imageSetId, version);
    let file = '';
    const frames = frameIds.map((id) => {
      const place = Object.hasOwn(index.frames, id) ? index.frames[id] : undefined;
      if (!place) throw notFound(`Image frame ${id} does not exist in image set ${imageSetId}.`);
      const [blob, offset, lengthBytes] = place;
      file = blob;
      return { offset, lengthBytes };
    });
    return { path: blobPath(this.#catalog.layout.versions(datastoreId, imageSetId), file, '.frames'), frames };
  }

  async #index(datastoreId: string, imageSetId: string, version: number): Promise<BlobIndex> {
    const key = `${imageSetId} ${version}`;
    const cached = this.#indexes.get(key);
    if (cached) return cached;
    const folder = this.#catalog.layout.version(datastoreId, imageSetId, version);
    const index = await gone(readJson<BlobIndex>(join(folder, versionFiles.blobIndex)), imageSetId);
    this.#indexes.set(key, index);
    return index;
  }
}

/** As a promise, so that what it throws is treated as what other reads throw. */
const opened = async (path: string): Promise<number> => openSync(path, 'r');

/** An image set can be deleted between two steps of a read. */
async function gone<T>(reading: Promise<T>, imageSetId: string): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw notFound(`Image set ${imageSetId} does not exist.`);
    throw error;
  }
}
