import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { crc32 } from 'node:zlib';
import {
  CreateDatastoreCommand,
  GetImageFrameCommand,
  GetImageSetCommand,
  ListDICOMImportJobsCommand,
  type MedicalImagingClient,
  paginateSearchImageSets,
  StartDICOMImportJobCommand,
  UpdateImageSetMetadataCommand,
} from '@aws-sdk/client-medical-imaging';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { ctSlice, part10 } from './dicom-file.ts';
import { documentOf, roleArn, sdkClient, waitForJob } from './running-store.ts';

const serverScript = fileURLToPath(new URL('./store-server.mjs', import.meta.url));
const sharedSeries = '2.25.1000.2';

/** What a campaign of kills found; everything but the counts of work must be 0. */
export interface CampaignReport {
  kills: number;
  /** Kills while at least one job had not ended. */
  killsDuringImports: number;
  jobs: number;
  imageSets: number;
  versionsChecked: number;
  framesChecked: number;
  updates: number;
  lostJobs: number;
  lostUpdates: number;
  /** Image sets with a missing instance, or a frame that is absent or differs from its checksum. */
  halfImageSets: number;
  doubledImageSets: number;
  leftOvers: number;
}

interface Running {
  readonly child: ChildProcess;
  readonly client: MedicalImagingClient;
}

/** A store that is killed (SIGKILL) at random moments of imports and updates, and started again each time. */
export class KillCampaign {
  readonly #folder: string;
  readonly #dataDir: string;
  #running: Running | undefined;
  #datastoreId = '';
  readonly #jobs: string[] = [];
  readonly #ended = new Set<string>();
  /** Image set → series description that an update was acknowledged with. */
  readonly #updated = new Map<string, string>();
  readonly #report: CampaignReport = {
    kills: 0,
    killsDuringImports: 0,
    jobs: 0,
    imageSets: 0,
    versionsChecked: 0,
    framesChecked: 0,
    updates: 0,
    lostJobs: 0,
    lostUpdates: 0,
    halfImageSets: 0,
    doubledImageSets: 0,
    leftOvers: 0,
  };

  constructor(folder: string) {
    this.#folder = folder;
    this.#dataDir = join(folder, 'data');
  }

  async run(kills: number): Promise<CampaignReport> {
    await this.#start();
    const made = await this.#client.send(new CreateDatastoreCommand({ datastoreName: 'kill' }));
    this.#datastoreId = made.datastoreId as string;
    for (let run = 0; run < kills; run++) {
      await this.#import(run);
      const update = this.#updateOne(run);
      // From the first write to well after the last one.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * (run % 4 < 2 ? 60 : 400)));
      await this.#noteEnded();
      if (this.#ended.size < this.#jobs.length) this.#report.killsDuringImports += 1;
      await this.kill();
      await update;
      this.#report.kills += 1;
      await this.#start();
      // A job is given up after 25 deaths of its process: some are let through, and give updates something to change.
      if (run % 4 === 1) await this.#settle();
      await this.#check(run % 20 === 19);
    }
    await this.#finish();
    return this.#report;
  }

  /** Ends the store's process, if there is one. */
  async kill(): Promise<void> {
    const { child, client } = this.#running ?? {};
    if (!child) return;
    this.#running = undefined;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    client?.destroy();
  }

  get #client(): MedicalImagingClient {
    if (!this.#running) throw new Error('The store does not run.');
    return this.#running.client;
  }

  async #start(): Promise<void> {
    const child = spawn(process.execPath, [serverScript, this.#dataDir, this.#folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const { url, error } = JSON.parse(line) as { url?: string; error?: string };
      if (url === undefined) throw new Error(error);
      this.#running = { child, client: sdkClient(url) };
      return;
    }
    throw new Error('The store did not start.');
  }

  /** Two series of eight slices; each run has UIDs of its own, but for the series that all share. */
  async #import(run: number): Promise<void> {
    const folder = join(this.#folder, `in-${run}`);
    mkdirSync(folder);
    for (let slice = 0; slice < 16; slice++) {
      const series = slice % 2 === 0 ? sharedSeries : `2.25.1000.20.${run}`;
      const change = { 2097166: ['UI', series], 524312: ['UI', `${series}.${slice}`] } as const;
      writeFileSync(join(folder, `${slice}.dcm`), part10(ctSlice(slice + run, change)));
    }
    const job = await this.#client.send(
      new StartDICOMImportJobCommand({
        datastoreId: this.#datastoreId,
        dataAccessRoleArn: roleArn,
        clientToken: `run-${run}`,
        inputS3Uri: pathToFileURL(folder).href,
        outputS3Uri: pathToFileURL(join(this.#folder, 'out')).href,
      }),
    );
    this.#jobs.push(job.jobId as string);
    this.#report.jobs += 1;
  }

  /** Updates an image set while imports run; an answer is a promise, a broken connection is none. */
  async #updateOne(run: number): Promise<void> {
    const datastoreId = this.#datastoreId;
    const client = this.#client;
    const imageSets = await this.#imageSets().catch(() => []);
    const [imageSet] = imageSets.filter(({ series }) => series !== sharedSeries);
    if (!imageSet) return;
    const description = `run ${run}`;
    const edit = {
      SchemaVersion: 1.1,
      Study: { Series: { [imageSet.series]: { DICOM: { SeriesDescription: description } } } },
    };
    try {
      await client.send(
        new UpdateImageSetMetadataCommand({
          datastoreId,
          imageSetId: imageSet.id,
          latestVersionId: String(imageSet.version),
          updateImageSetMetadataUpdates: {
            DICOMUpdates: { updatableAttributes: Buffer.from(JSON.stringify(edit)) },
          },
        }),
      );
      this.#updated.set(imageSet.id, description);
      this.#report.updates += 1;
    } catch (error) {
      // Killed before it answered: the update may be there or not, but from now on nothing is known of the image set.
      if (this.#running?.client === client) throw error;
      this.#updated.delete(imageSet.id);
    }
  }

  async #imageSets(): Promise<{ id: string; series: string; version: number }[]> {
    const found: { id: string; series: string; version: number }[] = [];
    for await (const page of paginateSearchImageSets({ client: this.#client }, { datastoreId: this.#datastoreId })) {
      for (const { imageSetId, version, DICOMTags } of page.imageSetsMetadataSummaries ?? []) {
        found.push({
          id: imageSetId as string,
          series: DICOMTags?.DICOMSeriesInstanceUID ?? '',
          version: version ?? 0,
        });
      }
    }
    return found;
  }

  async #noteEnded(): Promise<void> {
    for (const jobId of await this.#completed()) this.#ended.add(jobId);
  }

  async #completed(): Promise<string[]> {
    const completed: string[] = [];
    let nextToken: string | undefined;
    do {
      const page: { jobSummaries?: { jobId: string | undefined }[]; nextToken?: string } = (await this.#client.send(
        new ListDICOMImportJobsCommand({ datastoreId: this.#datastoreId, jobStatus: 'COMPLETED', nextToken }),
      )) as never;
      for (const { jobId } of page.jobSummaries ?? []) completed.push(jobId as string);
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return completed;
  }

  /** @param all - every image set; else the shared one and the newest */
  async #check(all: boolean): Promise<void> {
    const completed = await this.#completed();
    this.#report.lostJobs += [...this.#ended].filter((jobId) => !completed.includes(jobId)).length;
    const imageSets = await this.#imageSets();
    this.#report.doubledImageSets += imageSets.length - new Set(imageSets.map(({ series }) => series)).size;
    const chosen = all ? imageSets : imageSets.filter(({ series }, at) => series === sharedSeries || at < 3);
    for (const { id } of chosen) await this.#checkImageSet(id);
  }

  async #checkImageSet(imageSetId: string): Promise<void> {
    const datastoreId = this.#datastoreId;
    const document = await documentOf(this.#client, datastoreId, imageSetId);
    const [series] = Object.values(document.Study.Series) as {
      DICOM: { SeriesDescription?: string };
      Instances: Record<
        string,
        { ImageFrames: { ID: string; PixelDataChecksumFromBaseToFullResolution: { Checksum: number }[] }[] }
      >;
    }[];
    this.#report.versionsChecked += 1;
    const expected = this.#updated.get(imageSetId);
    if (expected !== undefined && series?.DICOM.SeriesDescription !== expected) this.#report.lostUpdates += 1;
    const instances = Object.values(series?.Instances ?? {});
    let isWhole = instances.length === 8;
    for (const { ImageFrames } of instances) {
      const [frame] = ImageFrames;
      const imageFrameInformation = { imageFrameId: frame?.ID };
      try {
        const answer = await this.#client.send(
          new GetImageFrameCommand({ datastoreId, imageSetId, imageFrameInformation }),
        );
        const { pixels } = await decodeHtj2k((await answer.imageFrameBlob?.transformToByteArray()) as Uint8Array);
        isWhole &&= crc32(pixels) === frame?.PixelDataChecksumFromBaseToFullResolution.at(-1)?.Checksum;
        this.#report.framesChecked += 1;
      } catch {
        isWhole = false;
      }
    }
    if (!isWhole) this.#report.halfImageSets += 1;
  }

  /** Waits until all jobs have ended. */
  async #settle(): Promise<void> {
    for (const jobId of this.#jobs) {
      if (!this.#ended.has(jobId)) await waitForJob(this.#client, this.#datastoreId, jobId);
    }
    await this.#noteEnded();
  }

  /** Every accepted job ends well, once nobody kills the store any more. */
  async #finish(): Promise<void> {
    for (const jobId of this.#jobs) {
      const ended = await waitForJob(this.#client, this.#datastoreId, jobId);
      const manifest = join(fileURLToPath(ended?.outputS3Uri as string), 'job-output-manifest.json');
      const { jobSummary } = JSON.parse(readFileSync(manifest, 'utf8'));
      const isWhole = ended?.jobStatus === 'COMPLETED' && jobSummary.numberOfImportedFiles === 16;
      if (!isWhole) this.#report.lostJobs += 1;
      for (const { imageSetId } of jobSummary.imageSetsSummary) {
        await this.#client.send(new GetImageSetCommand({ datastoreId: this.#datastoreId, imageSetId }));
      }
    }
    await this.#check(true);
    // The series that all runs share, and one of each run.
    this.#report.imageSets = (await this.#imageSets()).length;
    await this.kill();
    await this.#start();
    this.#report.leftOvers = readdirSync(join(this.#dataDir, 'tmp')).length;
    await this.kill();
  }
}
