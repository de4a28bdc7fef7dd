import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, publishFolder, readJson, replaceFile, syncFolder, writeFlushed } from '../durable-files.ts';
import { type StoreLayout, storeLayout, versionFiles } from './layout.ts';
import type { DatastoreRecord, ImageSetVersion, ImportJobRecord } from './records.ts';
import { notFound } from './service-error.ts';

/** A data store with what it holds, in memory; the files are the truth. */
export interface DatastoreEntry {
  record: DatastoreRecord;
  readonly jobs: Map<string, ImportJobRecord>;
  /** Latest version of every image set. */
  readonly imageSets: Map<string, ImageSetVersion>;
}

/** A finished, flushed version folder in `tmp`, and what it becomes. */
export interface StagedVersion {
  readonly folder: string;
  readonly version: ImageSetVersion;
}

/**
 * The records of the store: read from the folder once, kept in memory for listing and searching, and written through.
 * A method that returns has made its change durable.
 */
export class Catalog {
  readonly layout: StoreLayout;
  readonly #datastores = new Map<string, DatastoreEntry>();

  private constructor(layout: StoreLayout) {
    this.layout = layout;
  }

  /** Opens a data folder that this process owns: leftovers of work that was never committed are removed. */
  static async open(dataDir: string): Promise<Catalog> {
    const layout = storeLayout(dataDir);
    await rm(layout.tmp, { recursive: true, force: true });
    await mkdir(layout.tmp, { recursive: true, mode: 0o700 });
    await mkdir(layout.datastores, { recursive: true, mode: 0o700 });
    await syncFolder(dataDir);
    const catalog = new Catalog(layout);
    for (const datastoreId of await idsIn(layout.datastores)) await catalog.#loadDatastore(datastoreId);
    return catalog;
  }

  datastores(): DatastoreEntry[] {
    return [...this.#datastores.values()];
  }

  /**
   * A data store that can be worked with.
   *
   * @throws ServiceError `ResourceNotFoundException`
   */
  datastore(datastoreId: string): DatastoreEntry {
    const entry = this.anyDatastore(datastoreId);
    if (entry.record.datastoreStatus !== 'ACTIVE') throw notFound(`Data store ${datastoreId} is deleted.`);
    return entry;
  }

  /** A data store in whatever state. */
  anyDatastore(datastoreId: string): DatastoreEntry {
    const entry = this.#datastores.get(datastoreId);
    if (!entry) throw notFound(`Data store ${datastoreId} does not exist.`);
    return entry;
  }

  /** The latest version of an image set. */
  imageSet(datastoreId: string, imageSetId: string): ImageSetVersion {
    const found = this.datastore(datastoreId).imageSets.get(imageSetId);
    if (!found) throw notFound(`Image set ${imageSetId} does not exist in data store ${datastoreId}.`);
    return found;
  }

  async createDatastore(record: DatastoreRecord): Promise<void> {
    const staged = join(this.layout.tmp, randomUUID());
    await makeFolder(staged);
    await mkdir(join(staged, 'jobs'));
    await mkdir(join(staged, 'image-sets'));
    await writeFlushed(join(staged, 'datastore.json'), JSON.stringify(record));
    await publishFolder(staged, this.layout.datastore(record.datastoreId));
    this.#datastores.set(record.datastoreId, { record, jobs: new Map(), imageSets: new Map() });
  }

  async updateDatastore(record: DatastoreRecord): Promise<void> {
    await replaceFile(this.layout.datastoreFile(record.datastoreId), JSON.stringify(record));
    this.anyDatastore(record.datastoreId).record = record;
  }

  async saveJob(job: ImportJobRecord): Promise<void> {
    await replaceFile(this.layout.jobFile(job.datastoreId, job.jobId), JSON.stringify(job));
    this.anyDatastore(job.datastoreId).jobs.set(job.jobId, job);
  }

  /**
   * Commits a version whose finished, flushed folder lies in `tmp`: from then on it is the latest.
   *
   * @param staged - folder with the files of {@link versionFiles}, all but the properties
   */
  async commitVersion(staged: string, version: ImageSetVersion): Promise<void> {
    const { datastoreId, imageSetId } = version;
    await writeFlushed(join(staged, versionFiles.properties), JSON.stringify(version));
    const { imageSets } = this.datastore(datastoreId);
    if (imageSets.has(imageSetId)) {
      await publishFolder(staged, this.layout.version(datastoreId, imageSetId, version.version));
    } else {
      const whole = join(this.layout.tmp, randomUUID());
      await mkdir(join(whole, 'versions'), { recursive: true });
      await publishFolder(staged, join(whole, 'versions', String(version.version)));
      await publishFolder(whole, this.layout.imageSet(datastoreId, imageSetId));
    }
    imageSets.set(imageSetId, version);
  }

  /**
   * Commits new versions of existing image sets of one data store, all or none: with one rename they are put into a
   * folder from which the next start would take them too, then each goes to its place.
   */
  async commitTogether(staged: readonly StagedVersion[]): Promise<void> {
    const [first] = staged;
    if (!first) return;
    if (staged.length === 1) return this.commitVersion(first.folder, first.version);
    const { datastoreId } = first.version;
    const gathered = join(this.layout.tmp, randomUUID());
    await makeFolder(gathered);
    for (const { folder, version } of staged) {
      await writeFlushed(join(folder, versionFiles.properties), JSON.stringify(version));
      await publishFolder(folder, join(gathered, `${version.imageSetId}-${version.version}`));
    }
    const committed = join(this.layout.changes(datastoreId), randomUUID());
    await makeFolder(this.layout.changes(datastoreId));
    await publishFolder(gathered, committed);
    await this.#moveToPlaces(datastoreId, committed);
    const { imageSets } = this.datastore(datastoreId);
    for (const { version } of staged) imageSets.set(version.imageSetId, version);
  }

  async #moveToPlaces(datastoreId: string, committed: string): Promise<void> {
    for (const name of await readdir(committed)) {
      const [imageSetId = '', version] = name.split('-');
      await publishFolder(join(committed, name), this.layout.version(datastoreId, imageSetId, Number(version)));
    }
    await rm(committed, { recursive: true, force: true });
  }

  /** Removes an image set: gone for everybody at once, its bytes follow. */
  async removeImageSet(datastoreId: string, imageSetId: string): Promise<void> {
    const { imageSets } = this.datastore(datastoreId);
    const aside = join(this.layout.tmp, `removed-${randomUUID()}`);
    await rename(this.layout.imageSet(datastoreId, imageSetId), aside);
    imageSets.delete(imageSetId);
    await syncFolder(this.layout.imageSets(datastoreId));
    // What a failure leaves here is removed at the next start.
    void rm(aside, { recursive: true, force: true }).catch(() => undefined);
  }

  /** Reads one version's properties; undefined when there is none. */
  async readVersion(datastoreId: string, imageSetId: string, version: number): Promise<ImageSetVersion | undefined> {
    const latest = this.imageSet(datastoreId, imageSetId);
    if (version === latest.version) return latest;
    if (version < 1 || version > latest.version) return undefined;
    return readJson<ImageSetVersion>(
      join(this.layout.version(datastoreId, imageSetId, version), versionFiles.properties),
    );
  }

  async #loadDatastore(datastoreId: string): Promise<void> {
    const record = await readJson<DatastoreRecord>(this.layout.datastoreFile(datastoreId));
    const entry: DatastoreEntry = { record, jobs: new Map(), imageSets: new Map() };
    for (const file of await readdir(this.layout.jobs(datastoreId))) {
      const path = join(this.layout.jobs(datastoreId), file);
      if (!file.endsWith('.json') || file.startsWith('.')) await rm(path, { force: true });
      else {
        const job = await readJson<ImportJobRecord>(path);
        entry.jobs.set(job.jobId, job);
      }
    }
    for (const change of await namesIn(this.layout.changes(datastoreId))) {
      await this.#moveToPlaces(datastoreId, join(this.layout.changes(datastoreId), change));
    }
    for (const imageSetId of await idsIn(this.layout.imageSets(datastoreId))) {
      const versions = (await readdir(this.layout.versions(datastoreId, imageSetId)))
        .map(Number)
        .filter(Number.isInteger);
      const folder = this.layout.version(datastoreId, imageSetId, Math.max(...versions));
      entry.imageSets.set(imageSetId, await readJson<ImageSetVersion>(join(folder, versionFiles.properties)));
    }
    this.#datastores.set(datastoreId, entry);
  }
}

/** Entries that the store made; what a desktop or a file system adds is passed over. */
async function idsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-z]{32}$/.test(name));
}

/** Entries of a folder; none when there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
