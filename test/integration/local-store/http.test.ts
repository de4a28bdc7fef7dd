import {
  CreateDatastoreCommand,
  DeleteDatastoreCommand,
  GetDatastoreCommand,
  ListDatastoresCommand,
  ListTagsForResourceCommand,
  type MedicalImagingClient,
  StartDICOMImportJobCommand,
  TagResourceCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-medical-imaging';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ThreadPool } from '../../../src/compute/pool.ts';
import { createLocalStore } from '../../../src/local-store/local-store.ts';
import { createLogger } from '../../../src/logger.ts';
import { roleArn, scratchFolder, startStore } from '../../support/local-store/running-store.ts';

const scratch = scratchFolder();
const dataDir = `${scratch.path}/data`;
const none = '0'.repeat(32);
let store: Awaited<ReturnType<typeof startStore>>;
let client: MedicalImagingClient;

beforeAll(async () => {
  store = await startStore({ dataDir, allowedUris: [], quotas: { datastores: 6 } });
  client = store.client;
});
afterAll(async () => {
  await store.close();
  scratch.remove();
});

const create = async (datastoreName: string, clientToken?: string): Promise<string> =>
  (await client.send(new CreateDatastoreCommand({ datastoreName, clientToken }))).datastoreId as string;

describe('data stores', () => {
  it('are made, found, listed by page, and counted', async () => {
    const made = [await create('a'), await create('b'), await create('c')];
    const { datastoreProperties } = await client.send(new GetDatastoreCommand({ datastoreId: made[0] }));
    expect(datastoreProperties).toMatchObject({
      datastoreName: 'a',
      datastoreStatus: 'ACTIVE',
      losslessStorageFormat: 'HTJ2K',
      datastoreArn: `arn:aws:medical-imaging:us-east-1:000000000000:datastore/${made[0]}`,
    });
    expect(Math.abs((datastoreProperties?.createdAt?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    const first = await client.send(new ListDatastoresCommand({ maxResults: 2 }));
    const second = await client.send(new ListDatastoresCommand({ maxResults: 2, nextToken: first.nextToken }));
    const listed = [first, second].flatMap(({ datastoreSummaries }) => datastoreSummaries ?? []);
    expect(listed.map(({ datastoreId }) => datastoreId)).toEqual(made);
    expect(second.nextToken).toBeUndefined();
  });

  it('are made once per token, and no more than the quota', async () => {
    const datastoreId = await create('token', 'same');
    expect(await create('token', 'same')).toBe(datastoreId);
    await expect(create('other', 'same')).rejects.toMatchObject({ name: 'ConflictException' });
    await create('five');
    await create('six');
    await expect(create('seven')).rejects.toMatchObject({
      name: 'ServiceQuotaExceededException',
      $metadata: { httpStatusCode: 402 },
    });
    await client.send(new DeleteDatastoreCommand({ datastoreId }));
    const deleted = await client.send(new ListDatastoresCommand({ datastoreStatus: 'DELETED' }));
    expect(deleted.datastoreSummaries).toMatchObject([{ datastoreId, datastoreStatus: 'DELETED' }]);
  });

  it('survive a restart', async () => {
    const before = await client.send(new ListDatastoresCommand({}));
    await store.close();
    store = await startStore({ dataDir, allowedUris: [] });
    client = store.client;
    const after = await client.send(new ListDatastoresCommand({}));
    expect(after.datastoreSummaries).toEqual(before.datastoreSummaries);
  });

  it('carry tags', async () => {
    const datastoreId = await create('tags');
    const { datastoreProperties } = await client.send(new GetDatastoreCommand({ datastoreId }));
    const resourceArn = datastoreProperties?.datastoreArn as string;
    await client.send(new TagResourceCommand({ resourceArn, tags: { one: '1', two: '2', three: '3' } }));
    await client.send(new UntagResourceCommand({ resourceArn, tagKeys: ['one', 'three'] }));
    const { tags } = await client.send(new ListTagsForResourceCommand({ resourceArn }));
    expect(tags).toEqual({ two: '2' });
  });
});

describe('the wire', () => {
  const call = async (method: string, path: string, body?: string) => {
    const response = await fetch(store.url + path, { method, ...(body === undefined ? {} : { body }) });
    return {
      status: response.status,
      type: response.headers.get('x-amzn-errortype'),
      id: response.headers.get('x-amzn-requestid'),
      body: (await response.json()) as { message?: string },
    };
  };

  it.each([
    ['GET', `/datastore/${none}`, undefined, 404, 'ResourceNotFoundException'],
    ['GET', '/datastore/UPPER', undefined, 400, 'ValidationException'],
    ['GET', '/datastore?maxResults=51', undefined, 400, 'ValidationException'],
    ['GET', '/datastore?maxResults=0', undefined, 400, 'ValidationException'],
    ['GET', '/datastore?datastoreStatus=GONE', undefined, 400, 'ValidationException'],
    ['GET', '/datastore?nextToken=x', undefined, 400, 'ValidationException'],
    ['POST', '/datastore', '{"datastoreName":"a b"}', 400, 'ValidationException'],
    ['POST', '/datastore', '{"datastoreName":', 400, 'ValidationException'],
    ['POST', '/datastore', '{"losslessStorageFormat":"JPEG_2000_LOSSLESS"}', 400, 'ValidationException'],
    ['POST', `/datastore/${none}/searchImageSets`, '{}', 404, 'ResourceNotFoundException'],
    ['POST', `/datastore/${none}/imageSet/${none}/getImageSet`, undefined, 404, 'ResourceNotFoundException'],
    ['POST', `/datastore/${none}/imageSet/x/getImageSet`, undefined, 400, 'ValidationException'],
    ['POST', `/datastore/${none}/imageSet/${none}/getImageFrame`, '{}', 400, 'ValidationException'],
    ['POST', `/datastore/${none}/imageSet/${none}/nothing`, undefined, 404, 'UnknownOperationException'],
    ['PUT', '/datastore', '{}', 404, 'UnknownOperationException'],
    ['GET', '/tags/arn%3Aaws%3As3%3A%3A%3Ax', undefined, 400, 'ValidationException'],
    ['POST', `/startDICOMImportJob/datastore/${none}`, '{}', 400, 'ValidationException'],
  ])('%s %s %s gives %i %s', async (method, path, body, status, type) => {
    const answer = await call(method, path, body);
    expect(answer).toMatchObject({ status, type });
    expect(answer.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.body.message).toBeTruthy();
  });

  it('refuses a body beyond its limit', async () => {
    const body = JSON.stringify({ datastoreName: 'x'.repeat(2 ** 20) });
    expect(await call('POST', '/datastore', body)).toMatchObject({ status: 400, body: { message: /too large/ } });
  });

  it('names the list when a place is outside it, and not the place', async () => {
    const datastoreId = await create('refused');
    const inputS3Uri = 'file:///etc/ssl/private/';
    const start = new StartDICOMImportJobCommand({
      datastoreId,
      dataAccessRoleArn: roleArn,
      clientToken: undefined,
      inputS3Uri,
      outputS3Uri: inputS3Uri,
    });
    const refusal = await client.send(start).catch((error: Error) => error);
    expect(refusal).toMatchObject({ name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } });
    expect((refusal as Error).message).toContain('ALLOWED_URIS');
    expect((refusal as Error).message).not.toContain('/etc');
  });

  it('leaves paths that are not its own to the app around it', async () => {
    const pool = new ThreadPool(1);
    const logger = createLogger('store', 'silent');
    const inner = await createLocalStore({ dataDir: `${scratch.path}/inner`, allowedUris: [], logger, pool });
    const app = express();
    app.use(inner.router);
    app.use((_request, response) => void response.status(418).end());
    const server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address() as { port: number };
    for (const path of ['/', '/ping', '/datastores', '/models/datastore']) {
      expect((await fetch(`http://127.0.0.1:${address.port}${path}`)).status).toBe(418);
    }
    expect((await fetch(`http://127.0.0.1:${address.port}/datastore`)).status).toBe(200);
    server.closeAllConnections();
    server.close();
    await inner.close();
    await pool.close();
  });

  it('is refused to a second process on the folder', async () => {
    await expect(startStore({ dataDir, allowedUris: [] })).rejects.toMatchObject({ code: 'conflict' });
  });
});
