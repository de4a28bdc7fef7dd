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
  SearchImageSetsCommand,
  StartDICOMImportJobCommand,
} from '@aws-sdk/client-medical-imaging';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';
import { documentOf, roleArn, scratchFolder, sdkClient, waitForJob } from '../../support/local-store/running-store.ts';

const serverScript = fileURLToPath(new URL('../../support/local-store/store-server.mjs', import.meta.url));
const scratch = scratchFolder();
const dataDir = join(scratch.path, 'data');
const running = new Set<ChildProcess>();

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  scratch.remove();
});

async function start(): Promise<{ child: ChildProcess; client: MedicalImagingClient }> {
  const child = spawn(process.execPath, [serverScript, dataDir, scratch.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { url, error } = JSON.parse(line) as { url?: string; error?: string };
    if (url === undefined) throw new Error(error);
    return { child, client: sdkClient(url) };
  }
  throw new Error('The store did not start.');
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** A folder with two series of eight slices; each run has UIDs of its own, but for the first series of all. */
function writeInput(run: number): string {
  const folder = join(scratch.path, `in-${run}`);
  mkdirSync(folder);
  for (let slice = 0; slice < 16; slice++) {
    const series = slice % 2 === 0 ? '2.25.1000.2' : `2.25.1000.20.${run}`;
    const change = { 2097166: ['UI', series], 524312: ['UI', `${series}.${slice}`] } as const;
    writeFileSync(join(folder, `${slice}.dcm`), part10(ctSlice(slice + run, change)));
  }
  return pathToFileURL(folder).href;
}

/** Every image set is whole: each frame is there and its pixels have the checksum that the document tells. */
async function checkAll(client: MedicalImagingClient, datastoreId: string): Promise<number> {
  const { imageSetsMetadataSummaries = [] } = await client.send(new SearchImageSetsCommand({ datastoreId }));
  for (const summary of imageSetsMetadataSummaries) {
    const imageSetId = summary.imageSetId as string;
    const document = await documentOf(client, datastoreId, imageSetId);
    const [series] = Object.values(document.Study.Series) as { Instances: Record<string, { ImageFrames: never[] }> }[];
    const instances = Object.values(series?.Instances ?? {});
    expect(instances).toHaveLength(8);
    for (const { ImageFrames } of instances) {
      const [frame] = ImageFrames as {
        ID: string;
        PixelDataChecksumFromBaseToFullResolution: { Checksum: number }[];
      }[];
      const imageFrameInformation = { imageFrameId: frame?.ID as string };
      const answer = await client.send(new GetImageFrameCommand({ datastoreId, imageSetId, imageFrameInformation }));
      const bytes = (await answer.imageFrameBlob?.transformToByteArray()) as Uint8Array;
      const { pixels } = await decodeHtj2k(bytes);
      expect(crc32(pixels)).toBe(frame?.PixelDataChecksumFromBaseToFullResolution.at(-1)?.Checksum);
    }
  }
  return imageSetsMetadataSummaries.length;
}

describe('a store that is killed during imports', () => {
  it('loses no acknowledged job, shows no half image set, and finishes what it had begun (10 kills)', async () => {
    let { child, client } = await start();
    const { datastoreId } = await client.send(new CreateDatastoreCommand({ datastoreName: 'kill' }));
    const accepted: string[] = [];
    const acknowledged = new Map<string, string>();
    for (let run = 0; run < 10; run++) {
      const inputS3Uri = writeInput(run);
      const job = await client.send(
        new StartDICOMImportJobCommand({
          datastoreId,
          dataAccessRoleArn: roleArn,
          clientToken: `run-${run}`,
          inputS3Uri,
          outputS3Uri: `${scratch.uri}out/`,
        }),
      );
      accepted.push(job.jobId as string);
      // From the first write to well after the last one.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * (run % 2 === 0 ? 60 : 400)));
      const { jobSummaries = [] } = await client.send(
        new ListDICOMImportJobsCommand({ datastoreId, jobStatus: 'COMPLETED' }),
      );
      for (const { jobId } of jobSummaries) acknowledged.set(jobId as string, run.toString());
      await kill(child);
      ({ child, client } = await start());
      await checkAll(client, datastoreId as string);
      for (const jobId of acknowledged.keys()) {
        const { jobSummaries: still = [] } = await client.send(
          new ListDICOMImportJobsCommand({ datastoreId, jobStatus: 'COMPLETED' }),
        );
        expect(still.map((each) => each.jobId)).toContain(jobId);
      }
    }
    for (const jobId of accepted) {
      const ended = await waitForJob(client, datastoreId as string, jobId);
      expect(ended).toMatchObject({ jobStatus: 'COMPLETED' });
      const manifest = join(fileURLToPath(ended?.outputS3Uri as string), 'job-output-manifest.json');
      const { jobSummary } = JSON.parse(readFileSync(manifest, 'utf8'));
      expect(jobSummary).toMatchObject({ numberOfImportedFiles: 16, numberOfFilesWithServerError: 0 });
      for (const { imageSetId } of jobSummary.imageSetsSummary) {
        await client.send(new GetImageSetCommand({ datastoreId, imageSetId }));
      }
    }
    // The series that all runs share, and one of each run: nothing twice.
    expect(await checkAll(client, datastoreId as string)).toBe(11);
    await kill(child);
    ({ child } = await start());
    expect(readdirSync(join(dataDir, 'tmp'))).toEqual([]);
    await kill(child);
  });
});
