import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AllowedUris } from '../../../src/connectors/allowed-uris.ts';
import { FileTransfers } from '../../../src/connectors/file-transfers.ts';
import { S3Objects } from '../../../src/connectors/s3/s3-objects.ts';
import { hasS3Server, type S3Server, startS3Server } from '../../support/connectors/s3-server.ts';

const root = mkdtempSync(join(tmpdir(), 'file-transfers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const signal = new AbortController().signal;
const uriOf = (...parts: string[]): string => pathToFileURL(join(root, ...parts)).href;
const local = join(root, 'scratch', 'body');

describe('FileTransfers', () => {
  const transfers = new FileTransfers({
    objects: new S3Objects({ maxSockets: 1 }),
    readable: new AllowedUris([join(root, 'in')]),
    writable: new AllowedUris([join(root, 'out')]),
  });
  beforeAll(() => {
    mkdirSync(join(root, 'in'));
    writeFileSync(join(root, 'in', 'a'), 'hello');
    writeFileSync(join(root, 'secret'), 'secret');
    symlinkSync(join(root, 'secret'), join(root, 'in', 'link'));
  });

  it('fetches a file', async () => {
    await transfers.fetch({ uri: uriOf('in', 'a'), toPath: local, limitBytes: 5 }, signal);
    expect(readFileSync(local, 'utf8')).toBe('hello');
  });

  it.each([
    ['a file over the limit', 'in/a', 4, 'payload_too_large'],
    ['a file that is not there', 'in/b', 5, 'input_not_found'],
    ['a folder', 'in', 5, 'input_not_found'],
    ['a file elsewhere', 'secret', 9, 'forbidden'],
    ['a link that leads elsewhere', 'in/link', 9, 'forbidden'],
  ])('does not fetch %s', async (_what, name, limitBytes, code) => {
    const fetched = transfers.fetch({ uri: uriOf(name), toPath: join(root, 'scratch', 'no'), limitBytes }, signal);
    await expect(fetched).rejects.toMatchObject({ code });
  });

  it('stores a file at once, over what was there, and leaves nothing beside it', async () => {
    for (const text of ['one', 'two']) {
      writeFileSync(join(root, 'answer'), text);
      await transfers.store(
        { uri: uriOf('out', 'x', 'a.out'), fromPath: join(root, 'answer'), contentType: 'a/b' },
        signal,
      );
      expect(readFileSync(join(root, 'out', 'x', 'a.out'), 'utf8')).toBe(text);
    }
    expect(readdirSync(join(root, 'out', 'x'))).toEqual(['a.out']);
  });

  it('does not store outside of its prefixes', async () => {
    const stored = transfers.store(
      { uri: uriOf('in', 'z'), fromPath: join(root, 'secret'), contentType: 'a/b' },
      signal,
    );
    await expect(stored).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe.skipIf(!hasS3Server)('FileTransfers with an S3 server', () => {
  let server: S3Server;
  let transfers: FileTransfers;
  beforeAll(async () => {
    server = await startS3Server();
    await server.createBucket('bucket');
    transfers = new FileTransfers({
      objects: server.objects,
      readable: new AllowedUris(['s3://bucket/']),
      writable: new AllowedUris(['s3://bucket/out/']),
    });
  });
  afterAll(() => server?.close());

  it('stores an object and fetches it again', async () => {
    const bytes = Buffer.alloc(3 * 1024 ** 2, 'abc');
    writeFileSync(join(root, 'big'), bytes);
    await transfers.store({ uri: 's3://bucket/out/a.out', fromPath: join(root, 'big'), contentType: 'a/b' }, signal);
    const toPath = join(root, 'again');
    await transfers.fetch({ uri: 's3://bucket/out/a.out', toPath, limitBytes: bytes.length }, signal);
    expect(readFileSync(toPath).equals(bytes)).toBe(true);
    const small = transfers.fetch({ uri: 's3://bucket/out/a.out', toPath, limitBytes: 10 }, signal);
    await expect(small).rejects.toMatchObject({ code: 'payload_too_large' });
  });

  it('tells what is not there, and what it may not touch', async () => {
    const fetch = (uri: string) => transfers.fetch({ uri, toPath: join(root, 'no'), limitBytes: 10 }, signal);
    await expect(fetch('s3://bucket/none')).rejects.toMatchObject({ code: 'input_not_found' });
    await expect(fetch('s3://other/none')).rejects.toMatchObject({ code: 'forbidden' });
    const elsewhere = { uri: 's3://bucket/in', fromPath: join(root, 'secret'), contentType: 'a/b' };
    await expect(transfers.store(elsewhere, signal)).rejects.toMatchObject({ code: 'forbidden' });
  });
});
