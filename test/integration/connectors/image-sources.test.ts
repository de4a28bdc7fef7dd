import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, describe } from 'vitest';
import { ZipFile } from 'yazl';
import { AllowedUris } from '../../../src/connectors/allowed-uris.ts';
import { BodySource } from '../../../src/connectors/body/body-source.ts';
import { FilesystemSource } from '../../../src/connectors/filesystem/filesystem-source.ts';
import { HealthImagingSource } from '../../../src/connectors/healthimaging/healthimaging-source.ts';
import { S3Source } from '../../../src/connectors/s3/s3-source.ts';
import { startFakeHealthImaging } from '../../support/connectors/fake-healthimaging.ts';
import { describeImageSource } from '../../support/connectors/image-source-contract.ts';
import { testPart10, writeTestFolder } from '../../support/connectors/part10-files.ts';
import { hasS3Server, startS3Server } from '../../support/connectors/s3-server.ts';
import { regularSlices, testImageSet } from '../../support/connectors/test-series.ts';

const root = mkdtempSync(join(tmpdir(), 'image-sources-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const slices = regularSlices(5);
const foreign = { uri: 'ftp://host/x' };
const emptyFile = (name: string) => {
  writeFileSync(join(root, name), '');
  return join(root, name);
};

describeImageSource('folder', async () => {
  const folder = writeTestFolder(join(root, 'folder/series'), slices);
  writeFileSync(join(folder, 'README.txt'), 'not an image');
  const allowed = new AllowedUris([join(root, 'folder')]);
  return {
    source: new FilesystemSource(allowed),
    reference: { uri: pathToFileURL(join(root, 'folder')).href },
    missing: { uri: pathToFileURL(join(root, 'folder/none')).href },
    foreign,
  };
});

async function zipOf(path: string): Promise<string> {
  const zip = new ZipFile();
  for (const [index, slice] of slices.entries()) zip.addBuffer(Buffer.from(testPart10(slice, index)), `study/${index}`);
  zip.addBuffer(Buffer.from('x'), 'study/DICOMDIR');
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

async function emptyZip(path: string): Promise<string> {
  const zip = new ZipFile();
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

describeImageSource('body: zip', async () => ({
  source: new BodySource(),
  reference: { body: { path: await zipOf(join(root, 'body.zip')), contentType: 'application/zip' } },
  missing: { body: { path: await emptyZip(join(root, 'empty.zip')), contentType: 'application/zip' } },
  foreign,
}));

describeImageSource('body: multipart', async () => {
  const path = join(root, 'body.multipart');
  const parts = slices.flatMap((slice, index) => [
    Buffer.from('--b0und\r\nContent-Type: application/dicom\r\n\r\n'),
    Buffer.from(testPart10(slice, index)),
    Buffer.from('\r\n'),
  ]);
  writeFileSync(path, Buffer.concat([Buffer.from('preamble\r\n'), ...parts, Buffer.from('--b0und--\r\n')]));
  const contentType = 'multipart/related; type="application/dicom"; boundary=b0und';
  const none = join(root, 'none.multipart');
  writeFileSync(none, '--b0und\r\n\r\n\r\n--b0und--');
  return {
    source: new BodySource(),
    reference: { body: { path, contentType } },
    missing: { body: { path: emptyFile('missing'), contentType: 'application/octet-stream' } },
    foreign,
  };
});

describeImageSource('HealthImaging', async () => {
  const { document, frames } = await testImageSet(slices);
  const fake = await startFakeHealthImaging(document, frames);
  const ids = { datastoreId: 'd'.repeat(32), imageSetId: 'i'.repeat(32) };
  const gone = await startFakeHealthImaging(document, frames);
  gone.faults.set('metadata', { kind: 'status', status: 404, type: 'ResourceNotFoundException' });
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  const real = new HealthImagingSource({ endpoint: fake.url, credentials, maxSockets: 8 });
  const other = new HealthImagingSource({ endpoint: gone.url, credentials, maxSockets: 8 });
  const missing = { datastoreId: 'd'.repeat(32), imageSetId: '0'.repeat(32) };
  return {
    source: {
      accepts: (reference) => real.accepts(reference),
      open: (reference, options) => (reference === missing ? other : real).open(reference, options),
    },
    reference: ids,
    missing,
    foreign,
    async close() {
      await Promise.all([real.close(), other.close()]);
      await Promise.all([fake.close(), gone.close()]);
    },
  };
});

describe.skipIf(!hasS3Server)('with an S3 server', () => {
  describeImageSource('S3', async () => {
    const server = await startS3Server();
    await server.createBucket('images');
    const folder = writeTestFolder(join(root, 's3'), slices);
    const signal = new AbortController().signal;
    for (let index = 1; index <= slices.length; index++) {
      const bytes = readFileSync(join(folder, `${index}.dcm`));
      await server.objects.write({ bucket: 'images', key: `in/series/${index}` }, bytes, 'application/dicom', signal);
    }
    const text = Buffer.from('not an image');
    await server.objects.write({ bucket: 'images', key: 'in/notes.txt' }, text, 'text/plain', signal);
    return {
      source: new S3Source(server.objects, new AllowedUris(['s3://images/in'])),
      reference: { uri: 's3://images/in/' },
      missing: { uri: 's3://images/in/none/' },
      foreign,
      close: () => server.close(),
    };
  });
});
