import { writeFile } from 'node:fs/promises';
import { CreateDatastoreCommand, SearchImageSetsCommand } from '@aws-sdk/client-medical-imaging';
import { afterAll, expect, it } from 'vitest';
import type { ImportObjectStore } from '../../../src/local-store/import/object-port.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';
import { importFolder, scratchFolder, startStore } from '../../support/local-store/running-store.ts';

const scratch = scratchFolder();
afterAll(() => scratch.remove());

/** The port over a map of `bucket/key`. */
function objectsOf(content: Map<string, Uint8Array>): ImportObjectStore {
  return {
    async *list({ bucket, prefix }) {
      for (const [name, bytes] of [...content].sort()) {
        if (name.startsWith(`${bucket}/${prefix}`))
          yield { key: name.slice(bucket.length + 1), sizeBytes: bytes.length };
      }
    },
    async download(bucket, key, toPath) {
      const bytes = content.get(`${bucket}/${key}`);
      if (!bytes || key.includes('unreadable')) throw new Error('The object cannot be fetched.');
      await writeFile(toPath, bytes);
    },
    async upload(bucket, key, bytes) {
      content.set(`${bucket}/${key}`, bytes);
    },
  };
}

it("imports objects and writes the output beside them; an object that cannot be fetched is the server's fault", async () => {
  const content = new Map<string, Uint8Array>([
    ['bucket/in/', Buffer.alloc(0)],
    ['bucket/in/a', part10(ctSlice(1))],
    ['bucket/in/b', part10(ctSlice(2))],
    ['bucket/in/unreadable', part10(ctSlice(3))],
    ['bucket/input-of-others/c', part10(ctSlice(4))],
  ]);
  const store = await startStore({
    dataDir: `${scratch.path}/data`,
    allowedUris: ['s3://bucket/in/', 's3://bucket/out/'],
    objects: objectsOf(content),
  });
  try {
    const { datastoreId } = await store.client.send(new CreateDatastoreCommand({ datastoreName: 'objects' }));
    const job = await importFolder(store.client, datastoreId as string, 's3://bucket/in/', 's3://bucket/out');
    expect(job).toMatchObject({ jobStatus: 'COMPLETED' });
    const folder = `out/${datastoreId}-DicomImport-${job?.jobId}`;
    expect(job?.outputS3Uri).toBe(`s3://bucket/${folder}/`);
    const read = (name: string): string => Buffer.from(content.get(`bucket/${folder}/${name}`) ?? []).toString('utf8');
    expect(JSON.parse(read('job-output-manifest.json')).jobSummary).toMatchObject({
      numberOfScannedFiles: 3,
      numberOfImportedFiles: 2,
      numberOfFilesWithCustomerError: 0,
      numberOfFilesWithServerError: 1,
    });
    expect(JSON.parse(read('SUCCESS/success.ndjson').split('\n')[0] as string)).toMatchObject({ inputFile: 'in/a' });
    expect(JSON.parse(read('FAILURE/failure.ndjson'))).toMatchObject({ inputFile: 'in/unreadable' });
    const found = await store.client.send(new SearchImageSetsCommand({ datastoreId }));
    expect(found.imageSetsMetadataSummaries).toHaveLength(1);
  } finally {
    await store.close();
  }
});
