import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { AllowedUris } from '../../../src/connectors/allowed-uris.ts';
import { FilesystemSink } from '../../../src/connectors/filesystem/filesystem-sink.ts';
import { S3Sink } from '../../../src/connectors/s3/s3-sink.ts';
import { createLogger, type Logger } from '../../../src/logger.ts';
import { describeOutputSink } from '../../support/connectors/output-sink-contract.ts';
import { hasS3Server, startS3Server } from '../../support/connectors/s3-server.ts';

const root = mkdtempSync(join(tmpdir(), 'output-sinks-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const silent = createLogger('test', 'silent');
const signal = new AbortController().signal;

const filesUnder = (folder: string): string[] =>
  (readdirSync(folder, { recursive: true }) as string[]).filter((name) => statSync(join(folder, name)).isFile()).sort();

describeOutputSink('folder', async () => {
  const folder = join(root, 'contract');
  mkdirSync(folder);
  return {
    sink: new FilesystemSink(new AllowedUris([folder])),
    baseUri: `${pathToFileURL(folder).href}/`,
    forbiddenUri: pathToFileURL(join(root, 'elsewhere/')).href,
    list: async () => filesUnder(folder),
    read: async (name) => readFileSync(join(folder, name)),
  };
});

describe.skipIf(!hasS3Server)('with an S3 server', () => {
  describeOutputSink('S3', async () => {
    const server = await startS3Server();
    await server.createBucket('results');
    await server.createBucket('others');
    return {
      sink: new S3Sink(server.objects, new AllowedUris(['s3://results/out']), silent),
      baseUri: 's3://results/out/',
      forbiddenUri: 's3://others/out/',
      async list() {
        const keys: string[] = [];
        for await (const { key } of server.objects.list('results', 'out/', signal)) keys.push(key.slice(4));
        return keys.sort();
      },
      async read(name) {
        const object = { bucket: 'results', key: `out/${name}` };
        return (await server.objects.read(object, 1e6, signal)) as Uint8Array;
      },
      close: () => server.close(),
    };
  });

  it('removes what a dead process left under a prefix without a commit mark', async () => {
    const server = await startS3Server();
    try {
      await server.createBucket('results');
      const sink = new S3Sink(server.objects, new AllowedUris(['s3://results/']), silent);
      const transaction = await sink.begin('s3://results/m/id/', signal);
      await transaction.write('json.json', Buffer.from('{}'), 'application/json');
      await sink.discard('s3://results/m/id/');
      const left = [];
      for await (const { key } of server.objects.list('results', '', signal)) left.push(key);
      expect(left).toEqual([]);
      await expect(transaction.commit({})).rejects.toMatchObject({ code: 'upstream_failed' });
      await expect(sink.readResult('s3://results/m/id/', signal)).resolves.toBeUndefined();
    } finally {
      await server.close();
    }
  });

  it('says that the bucket does not exist', async () => {
    const server = await startS3Server();
    try {
      const sink = new S3Sink(server.objects, new AllowedUris(['s3://nowhere/']), silent);
      const transaction = await sink.begin('s3://nowhere/m/id/', signal);
      await expect(transaction.write('json.json', Buffer.from('{}'), 'application/json')).rejects.toMatchObject({
        code: 'upstream_failed',
      });
      await transaction.abort();
    } finally {
      await server.close();
    }
  });

  it('tells in the log, without their names, of files that an abort cannot remove', async () => {
    const server = await startS3Server();
    await server.createBucket('results');
    const warned: unknown[][] = [];
    const logger = { warn: (...line: unknown[]) => void warned.push(line) } as unknown as Logger;
    const sink = new S3Sink(server.objects, new AllowedUris(['s3://results/']), logger);
    const transaction = await sink.begin('s3://results/m/id/', signal);
    for (const name of ['dicom-seg.dcm', 'json.json']) {
      await transaction.write(name, Buffer.from('{}'), 'application/json');
    }
    await server.stop();
    await transaction.abort();
    await server.close();
    expect(warned).toHaveLength(2);
    for (const [facts] of warned) expect(facts).toMatchObject({ error: { code: 'upstream_failed' } });
    expect(JSON.stringify(warned)).not.toMatch(/results|m\/id|seg|s3:\/\//);
  });
});

describe('folder sink', () => {
  const sinkOn = (folder: string) => new FilesystemSink(new AllowedUris([folder]));

  it('takes the folders that it made away again', async () => {
    const folder = join(root, 'fresh');
    const transaction = await sinkOn(root).begin(`${pathToFileURL(folder).href}/a/b/id/`, signal);
    await transaction.write('a.json', Buffer.from('{}'), 'application/json');
    await transaction.abort();
    expect(readdirSync(root)).not.toContain('fresh');
  });

  it('keeps an earlier result when the new one fails', async () => {
    const uri = `${pathToFileURL(root).href}/kept/id/`;
    const first = await sinkOn(root).begin(uri, signal);
    await first.commit({ run: 1 });
    const second = await sinkOn(root).begin(uri, signal);
    await second.write('a.json', Buffer.from('{}'), 'application/json');
    await second.abort();
    await expect(sinkOn(root).readResult(uri, signal)).resolves.toEqual({ run: 1 });
    expect(readdirSync(join(root, 'kept'))).toEqual(['id']);
  });

  it('removes what dead processes of this machine left, and nothing of living ones', async () => {
    const parent = join(root, 'abandoned');
    const dead = join(parent, `.partial-${hostname()}-4194304-abc`);
    const living = join(parent, `.partial-${hostname()}-${process.pid}-abc`);
    const foreign = join(parent, '.partial-another-host-4194304-abc');
    for (const folder of [dead, living, foreign]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(dead, 'half.dcm'), 'x');
    await sinkOn(root).discard(`${pathToFileURL(parent).href}/id/`);
    expect(readdirSync(parent).sort()).toEqual([foreign, living].map((path) => path.slice(parent.length + 1)).sort());
  });

  it('says that it may not write there', async () => {
    const file = join(root, 'a-file');
    writeFileSync(file, '');
    await expect(sinkOn(root).begin(`${pathToFileURL(file).href}/x/id/`, signal)).rejects.toMatchObject({
      code: 'upstream_failed',
    });
  });
});
