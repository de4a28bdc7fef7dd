import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AllowedUris } from '../../../src/connectors/allowed-uris.ts';

describe('AllowedUris on S3', () => {
  const allowed = new AllowedUris(['s3://bucket/data', 's3://whole-bucket/']);

  it.each([
    's3://bucket/data/',
    's3://bucket/data/x/y.dcm',
    's3://bucket/data',
    'S3://bucket/data/x',
    's3://whole-bucket/a b',
  ])('allows %s', async (uri) => {
    await expect(allowed.check(uri)).resolves.toMatchObject({ scheme: 's3' });
  });

  it.each([
    's3://bucket/database/x',
    's3://bucket/',
    's3://bucket',
    's3://other/data/x',
    's3://bucket-evil/data/x',
    'file:///bucket/data/x',
  ])('refuses %s as outside', async (uri) => {
    await expect(allowed.check(uri)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each([
    's3://bucket/data/../secret',
    's3://bucket/data/%2e%2e/secret',
    's3://bucket/data/%252e%252e/secret',
    's3://bucket/data/..%2fsecret',
    's3://bucket/data//x',
    's3://bucket/data/./x',
    's3://BUCKET/data/x',
    's3://user:secret@bucket/data/x',
    's3:bucket/data/x',
    's3://bucket/data/\u0000x',
    'ftp://bucket/data/x',
    '/bucket/data/x',
  ])('refuses %s as malformed', async (uri) => {
    await expect(allowed.check(uri)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('AllowedUris on files', () => {
  let root: string;
  let allowed: AllowedUris;
  const uriOf = (path: string) => pathToFileURL(join(root, path)).href;

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'allowed-uris-'));
    for (const folder of ['in/series', 'in-evil', 'secret']) mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, 'secret/file'), '');
    symlinkSync(join(root, 'secret'), join(root, 'in/link-out'));
    symlinkSync(join(root, 'in/series'), join(root, 'in/link-in'));
    symlinkSync(join(root, 'secret/not-yet'), join(root, 'in/dangling'));
    symlinkSync(join(root, 'in'), join(root, 'alias'));
    allowed = new AllowedUris([join(root, 'in')]);
  });
  afterAll(() => rmSync(root, { recursive: true }));

  it('gives the real path of what it allows', async () => {
    await expect(allowed.check(uriOf('in/link-in'))).resolves.toMatchObject({
      path: expect.stringMatching(/\/in\/series$/),
    });
  });

  it('allows a folder that does not exist yet, for outputs', async () => {
    await expect(allowed.check(uriOf('in/new/result'))).resolves.toMatchObject({ scheme: 'file' });
  });

  it('takes a prefix that is a link for the folder behind it', async () => {
    await expect(new AllowedUris([join(root, 'alias')]).check(uriOf('in/series'))).resolves.toMatchObject({
      scheme: 'file',
    });
  });

  it.each([
    'in-evil',
    'secret/file',
    'in/link-out/file',
    'in/link-out/not-there',
    'in/../secret/file',
    'in/dangling',
    'in/dangling/x',
  ])('refuses %s', async (path) => {
    await expect(allowed.check(uriOf('').replace(/\/$/, '') + `/${path}`)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('resolves encoded dot segments before it compares', async () => {
    await expect(allowed.check(`${uriOf('in')}/%2e%2e/secret/file`)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each(['file://host/etc/passwd', 'file:///a%2fb', 'file:relative', 'file:///x?y', 'file:///x#y'])(
    'refuses %s as malformed',
    async (uri) => {
      await expect(allowed.check(uri)).rejects.toMatchObject({ code: 'invalid_request' });
    },
  );
});

it('allows nothing when nothing is set, and names the setting', async () => {
  const none = new AllowedUris([]);
  await expect(none.check('s3://bucket/x')).rejects.toMatchObject({
    code: 'forbidden',
    message: expect.stringContaining('ALLOWED_URIS'),
  });
});

describe('AllowedUris on DICOMweb servers', () => {
  const allowed = new AllowedUris(['https://pacs.example/dicom-web/', 'http://127.0.0.1:8042']);

  it.each([
    'https://pacs.example/dicom-web',
    'https://pacs.example/dicom-web/site-1/',
    'HTTPS://PACS.example:443/dicom-web/a/../b',
    'http://127.0.0.1:8042/any',
  ])('allows %s', async (uri) => {
    await expect(allowed.check(uri)).resolves.toMatchObject({ scheme: 'http' });
  });

  it.each([
    'https://pacs.example/dicom-web-2',
    'https://pacs.example/',
    'http://pacs.example/dicom-web',
    'https://pacs.example:8443/dicom-web',
    'https://pacs.example.evil/dicom-web',
    'https://pacs.example/dicom-web/%2e%2e/admin',
    'http://127.0.0.1:8043/any',
    's3://pacs.example/dicom-web',
  ])('refuses %s as outside', async (uri) => {
    await expect(allowed.check(uri)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each([
    'https://user:secret@pacs.example/dicom-web',
    'https://pacs.example/dicom-web?x=1',
    'https://pacs.example/dicom-web#x',
    'https://pacs.example/dicom-web/..%2fadmin',
    'https://',
    'https:pacs.example/dicom-web',
  ])('refuses %s as malformed', async (uri) => {
    await expect(allowed.check(uri)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
