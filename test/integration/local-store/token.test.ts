import { CreateDatastoreCommand, ListDatastoresCommand, SearchImageSetsCommand } from '@aws-sdk/client-medical-imaging';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findImageSets } from '../../../src/connectors/healthimaging/find-image-sets.ts';
import { HealthImagingSource } from '../../../src/connectors/healthimaging/healthimaging-source.ts';
import { runImportJob } from '../../../src/connectors/healthimaging/import-job.ts';
import { scratchFolder, sdkClient, startStore } from '../../support/local-store/running-store.ts';

const scratch = scratchFolder();
let store: Awaited<ReturnType<typeof startStore>>;

beforeAll(async () => {
  store = await startStore({ dataDir: `${scratch.path}/data`, allowedUris: [], token: 'the token' });
});
afterAll(async () => {
  await store.close();
  scratch.remove();
});

const denied = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } };

it('takes signatures of the JS SDK that were made with the token as secret access key', async () => {
  const client = sdkClient(store.url, 'the token');
  const { datastoreId } = await client.send(new CreateDatastoreCommand({ datastoreName: 'signed' }));
  const page = await client.send(new ListDatastoresCommand({ maxResults: 1, datastoreStatus: 'ACTIVE' }));
  expect(page.datastoreSummaries?.[0]?.datastoreId).toBe(datastoreId);
  const found = await client.send(new SearchImageSetsCommand({ datastoreId }));
  expect(found.imageSetsMetadataSummaries).toEqual([]);
  client.destroy();
});

it('refuses signatures made with another key, also where the request is right', async () => {
  await expect(store.client.send(new ListDatastoresCommand({}))).rejects.toMatchObject(denied);
  await expect(store.client.send(new CreateDatastoreCommand({ datastoreName: 'x' }))).rejects.toMatchObject(denied);
});

it('is no matter of roles to the connectors: they name the token', async () => {
  const { signal } = new AbortController();
  const datastoreId = '0'.repeat(32);
  const source = new HealthImagingSource({
    endpoint: store.url,
    credentials: { accessKeyId: 'local', secretAccessKey: 'another' },
    maxSockets: 1,
  });
  const job = { datastoreId, jobName: 'j', clientToken: 'c', roleArn: 'arn:aws:iam::000000000000:role/r' };
  const uris = { inputUri: 'file:///in/', outputUri: 'file:///out/' };
  for (const refused of [
    () => source.open({ datastoreId, imageSetId: datastoreId }, { signal }),
    () => findImageSets(store.client, datastoreId, undefined, { signal }),
    () => runImportJob(store.client, { ...job, ...uris }, { signal }),
  ]) {
    const error = await refused().then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('STORE_TOKEN') });
    expect(error?.message).not.toContain('role');
  }
  await source.close();
});

it('takes the token as a bearer, before any body is read', async () => {
  const ask = (path: string, headers: Record<string, string>, body?: string) =>
    fetch(`${store.url}${path}`, { headers, ...(body === undefined ? {} : { method: 'POST', body }) });
  const bearer = { authorization: 'Bearer the token' };
  expect((await ask('/datastore', bearer)).status).toBe(200);
  expect((await ask('/datastore', {})).status).toBe(403);
  expect((await ask('/datastore', { authorization: 'Bearer another' })).status).toBe(403);
  const web = `/datastore/${'0'.repeat(32)}/studies`;
  expect((await ask(web, {}, 'body')).status).toBe(403);
  expect((await ask(web, bearer)).status).toBe(404);
});

it('refuses a signed request whose body or path was changed on the way', async () => {
  const client = sdkClient(store.url, 'the token');
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: string; headers: Record<string, string> };
      request.body = request.body.replace('honest', 'forged');
      return next(args);
    },
    { step: 'finalizeRequest', priority: 'low', name: 'forge' },
  );
  await expect(client.send(new CreateDatastoreCommand({ datastoreName: 'honest' }))).rejects.toMatchObject(denied);
  client.destroy();
});
