import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import {
  GetDICOMImportJobCommand,
  GetImageSetMetadataCommand,
  MedicalImagingClient,
  StartDICOMImportJobCommand,
} from '@aws-sdk/client-medical-imaging';
import { ThreadPool } from '../../../src/compute/pool.ts';
import { createLocalStore, createStoreApp, type LocalStoreOptions } from '../../../src/local-store/local-store.ts';
import { createLogger } from '../../../src/logger.ts';

export const roleArn = 'arn:aws:iam::000000000000:role/local';

/** A folder of a test file, removed by `remove`. */
export function scratchFolder(): { path: string; uri: string; remove: () => void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'local-store-')));
  return { path, uri: `${pathToFileURL(path).href}/`, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The store listening on a free port, and the unmodified JS SDK on it. */
export async function startStore(options: Partial<LocalStoreOptions> & { dataDir: string; allowedUris: string[] }) {
  const pool = new ThreadPool(2);
  const store = await createLocalStore({ logger: createLogger('store', 'silent'), pool, ...options });
  const server = createStoreApp(store).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = sdkClient(url);
  return {
    url,
    client,
    async close() {
      client.destroy();
      server.closeAllConnections();
      server.close();
      await store.close();
      await pool.close();
    },
  };
}

export const sdkClient = (url: string, secretAccessKey = 'local'): MedicalImagingClient =>
  new MedicalImagingClient({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey },
    disableHostPrefix: true,
    maxAttempts: 1,
  });

/** Starts an import job and waits for its end. */
export async function importFolder(
  client: MedicalImagingClient,
  datastoreId: string,
  inputS3Uri: string,
  outputS3Uri: string,
) {
  const started = await client.send(
    new StartDICOMImportJobCommand({
      datastoreId,
      dataAccessRoleArn: roleArn,
      clientToken: undefined,
      inputS3Uri,
      outputS3Uri,
    }),
  );
  return waitForJob(client, datastoreId, started.jobId as string);
}

export async function waitForJob(client: MedicalImagingClient, datastoreId: string, jobId: string) {
  for (;;) {
    const { jobProperties } = await client.send(new GetDICOMImportJobCommand({ datastoreId, jobId }));
    if (jobProperties?.jobStatus === 'COMPLETED' || jobProperties?.jobStatus === 'FAILED') return jobProperties;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The document of an image set, gunzipped. */
export async function documentOf(client: MedicalImagingClient, datastoreId: string, imageSetId: string) {
  const answer = await client.send(new GetImageSetMetadataCommand({ datastoreId, imageSetId }));
  const bytes = await answer.imageSetMetadataBlob?.transformToByteArray();
  return JSON.parse(gunzipSync(bytes as Uint8Array).toString('utf8'));
}
