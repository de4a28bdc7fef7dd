import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateDatastoreCommand,
  type MedicalImagingClient,
  SearchImageSetsCommand,
} from '@aws-sdk/client-medical-imaging';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3ImportObjects } from '../../../src/connectors/s3/s3-import-objects.ts';
import { readPart10 } from '../../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../../src/formats/dicom/tags.ts';
import { hasS3Server, type S3Server, startS3Server } from '../../support/connectors/s3-server.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';
import { importFolder, scratchFolder, startStore } from '../../support/local-store/running-store.ts';

const cli = fileURLToPath(new URL('../../../dist/cli/map-endpoint.js', import.meta.url));

/** Runs a command with --json; gives its exit code and what it printed. */
function run(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; out: Record<string, unknown>; err: string }>((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 50_000 };
    execFile(process.execPath, [cli, ...args, '--json'], options, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error ? -1 : 0;
      resolve({ code, out: stdout === '' ? {} : JSON.parse(stdout), err: stderr });
    });
  });
}

const scratch = scratchFolder();
let s3: S3Server | undefined;
let store: Awaited<ReturnType<typeof startStore>>;
let client: MedicalImagingClient;

beforeAll(async () => {
  s3 = hasS3Server ? await startS3Server() : undefined;
  await s3?.createBucket('images');
  store = await startStore({
    dataDir: join(scratch.path, 'data'),
    allowedUris: [scratch.path, 's3://images/'],
    ...(s3 ? { objects: new S3ImportObjects(s3.objects) } : {}),
  });
  client = store.client;
});
afterAll(async () => {
  await store?.close();
  await s3?.close();
  scratch.remove();
});

const newDatastore = async (): Promise<string> =>
  (await client.send(new CreateDatastoreCommand({ datastoreName: 'cli', clientToken: undefined })))
    .datastoreId as string;
const imageSetsIn = async (datastoreId: string) =>
  (await client.send(new SearchImageSetsCommand({ datastoreId, searchCriteria: {} }))).imageSetsMetadataSummaries ?? [];

/** A data store with `series` series of two slices each, in `studies` studies. */
async function filledDatastore(name: string, series: number): Promise<string> {
  const folder = join(scratch.path, name);
  mkdirSync(folder);
  mkdirSync(`${folder}-out`);
  for (let one = 0; one < series; one++) {
    for (let slice = 0; slice < 2; slice++) {
      const elements = ctSlice(slice, {
        524312: ['UI', `2.25.7.${one}.${slice}`],
        2097166: ['UI', `2.25.8.${one}`],
      });
      writeFileSync(join(folder, `${one}-${slice}.dcm`), part10(elements));
    }
  }
  const datastoreId = await newDatastore();
  await importFolder(client, datastoreId, `file://${folder}/`, `file://${folder}-out/`);
  return datastoreId;
}

describe('dicomize', () => {
  it('writes every image set of a study, over all pages of the search', async () => {
    const datastoreId = await filledDatastore('pages', 53);
    const out = join(scratch.path, 'dicomized');
    const where = ['--datastore', datastoreId, '--endpoint-url', store.url, '-o', out];
    const { code, out: report } = await run(['dicomize', ...where, '--study', '2.25.1000', '--png', '--level', '1']);
    expect(code).toBe(0);
    expect(report.imageSets).toHaveLength(53);
    const files = readdirSync(out, { recursive: true, encoding: 'utf8' });
    const written = files.filter((file) => file.endsWith('.dcm'));
    expect(written).toHaveLength(106);
    expect(files.filter((file) => file.endsWith('.png'))).toHaveLength(106);
    const picture = decode(readFileSync(join(out, files.find((file) => file.endsWith('.png')) as string)));
    expect([picture.width, picture.height]).toEqual([32, 24]);
    expect(files.filter((file) => file.endsWith('.partial'))).toEqual([]);
    const source = readPart10(readFileSync(join(scratch.path, 'pages', '7-1.dcm')));
    const result = readPart10(readFileSync(join(out, written.find((file) => file.includes('2.25.7.7.1')) as string)));
    expect([...result.frame(0)]).toEqual([...source.frame(0)]);
    expect(result.dataset.string(tags.PatientName)).toBe('Test^Patient');
  });

  it('fails for a study that is not there, and for an image set that is not', async () => {
    const datastoreId = await newDatastore();
    const where = ['--datastore', datastoreId, '--endpoint-url', store.url, '-o', join(scratch.path, 'none')];
    expect(await run(['dicomize', ...where, '--study', '1.2.3'])).toMatchObject({
      code: 1,
      out: { error: { code: 'input_not_found' } },
    });
    expect(await run(['dicomize', ...where, '--image-set', 'f'.repeat(32)])).toMatchObject({
      code: 1,
      out: { error: { code: 'input_not_found' } },
    });
    expect((await run(['dicomize', ...where])).code).toBe(2);
    expect((await run(['dicomize', ...where, '--all', '--level', '2'])).code).toBe(2);
  });
});

describe.skipIf(!hasS3Server)('import from S3', () => {
  const flags = (datastoreId: string) => {
    const where = ['--endpoint-url', store.url, '--datastore', datastoreId, '--output', 's3://images/reports/'];
    return [...where, '--s3-endpoint-url', (s3 as S3Server).endpoint, '--role-arn', 'arn:aws:iam::123456789012:role/r'];
  };
  const environment = () => ({
    AWS_ACCESS_KEY_ID: (s3 as S3Server).credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: (s3 as S3Server).credentials.secretAccessKey,
    AWS_REGION: 'us-east-1',
  });
  const put = (key: string, bytes: Uint8Array) =>
    (s3 as S3Server).objects.write({ bucket: 'images', key }, bytes, 'application/dicom', AbortSignal.timeout(10_000));

  it('starts the job, reads its report from S3 and ends with the image sets', async () => {
    const datastoreId = await newDatastore();
    await put('study/1.dcm', part10(ctSlice(1)));
    await put('study/2.dcm', part10(ctSlice(2)));
    const { code, out, err } = await run(['import', 's3://images/study/', ...flags(datastoreId)], environment());
    expect(code, err).toBe(0);
    const [found] = await imageSetsIn(datastoreId);
    expect(out).toMatchObject({
      datastoreId,
      importedFiles: 2,
      imageSets: [{ imageSetId: found?.imageSetId, isPrimary: true, instances: 2 }],
      failures: [],
    });
    expect(err).toMatch(/import job [0-9a-z]{32}: completed/);
  });

  it('ends with 1 when any file was refused', async () => {
    const datastoreId = await newDatastore();
    await put('mixed/1.dcm', part10(ctSlice(3)));
    await put('mixed/2.dcm', Buffer.from('no DICOM'));
    const { code, out, err } = await run(['import', 's3://images/mixed/', ...flags(datastoreId)], environment());
    expect(code).toBe(1);
    expect(out).toMatchObject({ importedFiles: 1, failures: [{ error: 'ValidationException' }] });
    expect(err).toContain('mixed/2.dcm');
  });
});

it('import into AWS asks for what the service needs', async () => {
  const region = ['--region', 'us-east-1'];
  expect((await run(['import', 'folder', ...region])).err).toContain('S3 only');
  expect((await run(['import', 's3://b/x/', ...region])).err).toContain('--datastore');
  expect((await run(['import', 's3://b/x/', ...region, '--datastore', 'd'.repeat(32)])).err).toContain('--output');
});

describe('cleanup', () => {
  it('lists without deleting, then deletes image sets, then the data store', async () => {
    const datastoreId = await filledDatastore('cleaned', 3);
    const flags = ['cleanup', '--datastore', datastoreId, '--endpoint-url', store.url];
    const dry = await run(flags);
    expect(dry).toMatchObject({ code: 0, out: { deleted: false, leftovers: [] } });
    expect((dry.out.datastores as { imageSetIds: string[] }[])[0]?.imageSetIds).toHaveLength(3);
    expect(await imageSetsIn(datastoreId)).toHaveLength(3);
    expect(await run([...flags, '--yes', '--keep-datastores'])).toMatchObject({ code: 0, out: { deleted: true } });
    expect(await imageSetsIn(datastoreId)).toHaveLength(0);
    expect(await run([...flags, '--yes'])).toMatchObject({ code: 0, out: { deleted: true, leftovers: [] } });
    await expect(imageSetsIn(datastoreId)).rejects.toThrow();
  });

  it('lists and deletes what SageMaker keeps, in an order that it allows', async () => {
    const calls: [string, Record<string, unknown>][] = [];
    const sagemaker = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const action = String(request.headers['x-amz-target']).replace('SageMaker.', '');
      const input = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      calls.push([action, input]);
      const signed = /^AWS4-HMAC-SHA256 Credential=local\/\d{8}\/us-east-1\/sagemaker\/aws4_request, /;
      if (!signed.test(String(request.headers.authorization))) return response.writeHead(403).end('{}');
      if (action === 'DeleteModel' && input.ModelName === 'map-b') {
        return response.writeHead(400).end('{"__type":"ValidationException","message":"in use by arn:aws:123"}');
      }
      const lists: Record<string, object> = {
        ListEndpoints: { Endpoints: [{ EndpointName: 'map-a' }] },
        ListEndpointConfigs: { EndpointConfigs: [{ EndpointConfigName: 'map-a' }] },
        ListModels: input.NextToken
          ? { Models: [{ ModelName: 'map-b' }] }
          : { Models: [{ ModelName: 'map-a' }], NextToken: 'more' },
      };
      return response.end(JSON.stringify(lists[action] ?? {}));
    }).listen(0, '127.0.0.1');
    await once(sagemaker, 'listening');
    const url = `http://127.0.0.1:${(sagemaker.address() as AddressInfo).port}`;
    const flags = ['cleanup', '--sagemaker', 'map-', '--sagemaker-endpoint-url', url];
    const env = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };
    const dry = await run(flags, env);
    expect(dry.code, dry.err).toBe(0);
    expect(calls.map(([action]) => action)).toEqual([
      'ListEndpoints',
      'ListEndpointConfigs',
      'ListModels',
      'ListModels',
    ]);
    expect(calls.every(([, input]) => input.NameContains === 'map-')).toBe(true);
    const done = await run([...flags, '--yes'], env);
    sagemaker.close();
    expect(done.code).toBe(1);
    expect(done.out.leftovers).toEqual([
      { id: 'Model map-b', reason: 'SageMaker DeleteModel failed: ValidationException.' },
    ]);
    expect(calls.slice(-4)).toEqual([
      ['DeleteEndpoint', { EndpointName: 'map-a' }],
      ['DeleteEndpointConfig', { EndpointConfigName: 'map-a' }],
      ['DeleteModel', { ModelName: 'map-a' }],
      ['DeleteModel', { ModelName: 'map-b' }],
    ]);
  });

  it('deletes nothing that nobody named', async () => {
    expect((await run(['cleanup', '--yes'])).code).toBe(2);
  });
});
