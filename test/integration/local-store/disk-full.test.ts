import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  CreateDatastoreCommand,
  DeleteImageSetCommand,
  GetImageSetCommand,
  type MedicalImagingClient,
  SearchImageSetsCommand,
  UpdateImageSetMetadataCommand,
} from '@aws-sdk/client-medical-imaging';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';
import { documentOf, importFolder, scratchFolder, sdkClient } from '../../support/local-store/running-store.ts';

const serverScript = fileURLToPath(new URL('../../support/local-store/store-server.mjs', import.meta.url));
const scratch = scratchFolder();
let child: ChildProcess;
let client: MedicalImagingClient;
let url = '';

/** A small disk needs a mount: with a name space of our own, no rights are needed where the system lets users have them. */
function canMount(): boolean {
  try {
    execFileSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', scratch.path], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write('note: no tmpfs can be mounted here: the full disk is not tried\n');
    return false;
  }
}
const onSmallDisk = it.skipIf(!canMount());

function writeSlices(name: string, count: number): string {
  const folder = join(scratch.path, name);
  mkdirSync(folder);
  for (let slice = 0; slice < count; slice++) {
    const noise = Uint8Array.from({ length: 64 * 48 * 2 }, () => Math.random() * 256);
    const change = {
      2097166: ['UI', `2.25.1000.${count}`],
      524312: ['UI', `2.25.1000.${count}.${slice}`],
      2145386512: ['OW', noise],
    } as const;
    writeFileSync(join(folder, `${slice}.dcm`), part10(ctSlice(slice, change)));
  }
  return pathToFileURL(folder).href;
}

beforeAll(async () => {
  if (!canMount()) return;
  const disk = join(scratch.path, 'disk');
  mkdirSync(disk);
  const script = `mount -t tmpfs -o size=3m tmpfs "$0" && exec "$1" "$2" "$0/data" "$3"`;
  child = spawn('unshare', ['-rm', 'sh', '-c', script, disk, process.execPath, serverScript, scratch.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    url = (JSON.parse(line) as { url: string }).url;
    break;
  }
  client = sdkClient(url);
});
afterAll(() => {
  child?.kill('SIGKILL');
  scratch.remove();
});

onSmallDisk('a full disk fails what needs room, says so, and harms nothing that is there', async () => {
  const { datastoreId } = await client.send(new CreateDatastoreCommand({ datastoreName: 'full' }));
  const small = writeSlices('small', 8);
  expect(await importFolder(client, datastoreId as string, small, scratch.uri)).toMatchObject({
    jobStatus: 'COMPLETED',
  });
  const found = await client.send(new SearchImageSetsCommand({ datastoreId }));
  const imageSetId = found.imageSetsMetadataSummaries?.[0]?.imageSetId as string;
  const before = await documentOf(client, datastoreId as string, imageSetId);

  const failed = await importFolder(client, datastoreId as string, writeSlices('large', 300), scratch.uri);
  expect(failed).toMatchObject({ jobStatus: 'FAILED', message: expect.stringContaining('disk') });
  const body = Buffer.concat([
    Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
    Buffer.alloc(4 * 1024 * 1024),
    Buffer.from('\r\n--b--\r\n'),
  ]);
  const headers = { 'content-type': 'multipart/related; type="application/dicom"; boundary=b' };
  const stored = await fetch(`${url}/datastore/${datastoreId}/studies`, { method: 'POST', headers, body });
  expect(stored.status).toBe(500);
  expect(await stored.json()).toEqual({ message: expect.stringContaining('disk') });

  expect((await client.send(new SearchImageSetsCommand({ datastoreId }))).imageSetsMetadataSummaries).toHaveLength(1);
  expect(await documentOf(client, datastoreId as string, imageSetId)).toEqual(before);
  // What was begun has left no bytes behind: there is room for other work.
  const edit = { SchemaVersion: 1.1, Study: { DICOM: { StudyDescription: 'after' } } };
  await client.send(
    new UpdateImageSetMetadataCommand({
      datastoreId,
      imageSetId,
      latestVersionId: '1',
      updateImageSetMetadataUpdates: { DICOMUpdates: { updatableAttributes: Buffer.from(JSON.stringify(edit)) } },
    }),
  );
  expect(await client.send(new GetImageSetCommand({ datastoreId, imageSetId }))).toMatchObject({ versionId: '2' });
  await client.send(new DeleteImageSetCommand({ datastoreId, imageSetId }));
  expect(await importFolder(client, datastoreId as string, small, scratch.uri)).toMatchObject({
    jobStatus: 'COMPLETED',
  });
});
