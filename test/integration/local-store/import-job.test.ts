import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { crc32 } from 'node:zlib';
import {
  CreateDatastoreCommand,
  DeleteDatastoreCommand,
  DeleteImageSetCommand,
  GetImageFrameCommand,
  GetImageSetCommand,
  ListDICOMImportJobsCommand,
  ListImageSetVersionsCommand,
  type MedicalImagingClient,
  SearchImageSetsCommand,
  StartDICOMImportJobCommand,
} from '@aws-sdk/client-medical-imaging';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';
import {
  documentOf,
  importFolder,
  roleArn,
  scratchFolder,
  startStore,
} from '../../support/local-store/running-store.ts';

const scratch = scratchFolder();
let store: Awaited<ReturnType<typeof startStore>>;
let client: MedicalImagingClient;
let datastoreId: string;
let count = 0;
let input: string;

beforeAll(async () => {
  mkdirSync(join(scratch.path, 'allowed'));
  store = await startStore({ dataDir: join(scratch.path, 'data'), allowedUris: [join(scratch.path, 'allowed')] });
  client = store.client;
});
afterAll(async () => {
  await store.close();
  scratch.remove();
});
beforeEach(async () => {
  datastoreId = (await client.send(new CreateDatastoreCommand({ datastoreName: 'test' }))).datastoreId as string;
  input = join(scratch.path, 'allowed', `in-${count++}`);
  mkdirSync(join(input, 'sub'), { recursive: true });
});

const put = (name: string, bytes: Uint8Array): void => writeFileSync(join(input, name), bytes);
const uri = (path: string): string => pathToFileURL(path).href;
const output = (): string => uri(`${input}-out`);
const runJob = () => importFolder(client, datastoreId, uri(input), output());
const lines = (folder: string, file: string): { inputFile: string; exception?: { message: string } }[] =>
  readFileSync(join(fileURLToPath(folder), file), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const search = async () =>
  (await client.send(new SearchImageSetsCommand({ datastoreId }))).imageSetsMetadataSummaries ?? [];
const frames = async (imageSetId: string, sop: string) => {
  const document = await documentOf(client, datastoreId, imageSetId);
  return document.Study.Series['2.25.1000.2'].Instances[sop];
};
const frameBytes = async (imageSetId: string, imageFrameId: string): Promise<Uint8Array> => {
  const information = { imageFrameId };
  const answer = await client.send(
    new GetImageFrameCommand({ datastoreId, imageSetId, imageFrameInformation: information }),
  );
  expect(answer.contentType).toBe('application/octet-stream');
  return (await answer.imageFrameBlob?.transformToByteArray()) as Uint8Array;
};

describe('import jobs', () => {
  it('complete with failures told file by file, and refuse links that lead out', async () => {
    put('a.dcm', part10(ctSlice(1)));
    put('sub/b', part10(ctSlice(2)));
    put('notes.txt', Buffer.from('no DICOM at all, but long enough to be looked at'));
    put('empty', Buffer.alloc(0));
    put('cut.dcm', part10(ctSlice(3)).subarray(0, 1500));
    put('no-syntax.dcm', part10(ctSlice(4), null));
    put('bad-uid.dcm', part10(ctSlice(5, { 524312: ['UI', '../../x'] })));
    put('mpeg.dcm', part10(ctSlice(6), '1.2.840.10008.1.2.4.102'));
    writeFileSync(join(scratch.path, 'secret.dcm'), part10(ctSlice(7)));
    symlinkSync(join(scratch.path, 'secret.dcm'), join(input, 'leads-out.dcm'));
    symlinkSync(join(input, 'a.dcm'), join(input, 'sub/same.dcm'));
    const job = await runJob();
    expect(job).toMatchObject({ jobStatus: 'COMPLETED', datastoreId, dataAccessRoleArn: roleArn });
    expect(job?.endedAt?.getTime()).toBeGreaterThanOrEqual(job?.submittedAt?.getTime() as number);
    const folder = job?.outputS3Uri as string;
    expect(folder).toBe(`${output()}/${datastoreId}-DicomImport-${job?.jobId}/`);
    const manifest = JSON.parse(readFileSync(join(fileURLToPath(folder), 'job-output-manifest.json'), 'utf8'));
    expect(manifest.jobSummary).toMatchObject({
      numberOfScannedFiles: 10,
      numberOfImportedFiles: 3,
      numberOfFilesWithCustomerError: 7,
      numberOfFilesWithServerError: 0,
      numberOfGeneratedImageSets: 1,
      successOutputS3Uri: `${folder}SUCCESS/`,
      imageSetsSummary: [{ imageSetVersion: 1, isPrimary: true, numberOfMatchedSOPInstances: 2 }],
    });
    expect(lines(folder, 'SUCCESS/success.ndjson').map(({ inputFile }) => inputFile)).toEqual(
      ['a.dcm', 'sub/b', 'sub/same.dcm'].map((name) => join(input, name)),
    );
    const failures = lines(folder, 'FAILURE/failure.ndjson');
    const messageOf = (name: string) =>
      failures.find((line) => line.inputFile === join(input, name))?.exception?.message;
    expect(failures).toHaveLength(7);
    expect(messageOf('leads-out.dcm')).toContain('out of the input folder');
    expect(messageOf('no-syntax.dcm')).toBe('DICOM attribute TransferSyntaxUID does not exist');
    expect(messageOf('bad-uid.dcm')).toBe('DICOM attribute SOPInstanceUID is no valid UID');
    expect(messageOf('mpeg.dcm')).toContain('1.2.840.10008.1.2.4.102');
  });

  it('keep every frame exactly, with its checksum', async () => {
    put('a.dcm', part10(ctSlice(1)));
    await runJob();
    const [imageSet] = await search();
    const imageSetId = imageSet?.imageSetId as string;
    const instance = await frames(imageSetId, '2.25.1000.3.1');
    const pixels = ctSlice(1)[0x7fe00010]?.[1] as Uint8Array;
    const { pixels: decoded } = await decodeHtj2k(await frameBytes(imageSetId, instance.ImageFrames[0].ID));
    expect(Buffer.compare(decoded, pixels)).toBe(0);
    expect(instance.ImageFrames[0]).toMatchObject({
      PixelDataChecksumFromBaseToFullResolution: [{ Width: 64, Height: 48, Checksum: crc32(pixels) }],
      MinPixelValue: -1000,
      FrameSizeInBytes: 64 * 48 * 2,
    });
    expect(instance).not.toHaveProperty('StoredTransferSyntaxUID');
  });

  it('store 1-bit frames packed, 16-bit colour uncompressed, and say so', async () => {
    const packed = Uint8Array.from({ length: 17 * 3 }, (_, index) => index * 37);
    const bits = { 2621456: ['US', 9], 2621457: ['US', 15], 2621696: ['US', 1], 2621697: ['US', 1] } as const;
    put(
      'seg.dcm',
      part10(ctSlice(1, { ...bits, 2621448: ['IS', '3'], 2621699: ['US', 0], 2145386512: ['OB', packed] })),
    );
    const colour = new Uint8Array(Uint16Array.from({ length: 64 * 48 * 3 }, (_, index) => index * 7).buffer);
    const rgb = { 2621442: ['US', 3], 2621444: ['CS', 'RGB'], 2621699: ['US', 0], 2621446: ['US', 0] } as const;
    put('rgb.dcm', part10(ctSlice(2, { ...rgb, 2145386512: ['OW', colour] })));
    await runJob();
    const imageSetId = (await search())[0]?.imageSetId as string;
    const seg = await frames(imageSetId, '2.25.1000.3.1');
    expect(seg.StoredTransferSyntaxUID).toBe('1.2.840.10008.1.2.1');
    expect(seg.ImageFrames).toHaveLength(3);
    const bitAt = (bytes: Uint8Array, bit: number) => ((bytes[bit >>> 3] as number) >>> (bit & 7)) & 1;
    for (const [index, frame] of seg.ImageFrames.entries()) {
      const bytes = await frameBytes(imageSetId, frame.ID);
      expect(bytes).toHaveLength(17);
      expect(crc32(bytes)).toBe(frame.PixelDataChecksumFromBaseToFullResolution[0].Checksum);
      for (let bit = 0; bit < 135; bit++) expect(bitAt(bytes, bit)).toBe(bitAt(packed, index * 135 + bit));
    }
    const stored = await frames(imageSetId, '2.25.1000.3.2');
    expect(stored.StoredTransferSyntaxUID).toBe('1.2.840.10008.1.2.1');
    expect(Buffer.compare(await frameBytes(imageSetId, stored.ImageFrames[0].ID), colour)).toBe(0);
  });

  it('overwrite an instance in a new version, and the old version stays', async () => {
    put('a.dcm', part10(ctSlice(1)));
    put('b.dcm', part10(ctSlice(2)));
    await runJob();
    const imageSetId = (await search())[0]?.imageSetId as string;
    const before = await frames(imageSetId, '2.25.1000.3.1');
    put('a.dcm', part10(ctSlice(1, { 2113536: ['LT', 'again'], 2145386512: ctSlice(9)[0x7fe00010] as never })));
    await runJob();
    expect(await search()).toMatchObject([{ imageSetId, version: 2, isPrimary: true }]);
    const after = await frames(imageSetId, '2.25.1000.3.1');
    expect(after.DICOM.ImageComments).toBe('again');
    const { pixels } = await decodeHtj2k(await frameBytes(imageSetId, after.ImageFrames[0].ID));
    expect(Buffer.compare(pixels, ctSlice(9)[0x7fe00010]?.[1] as Uint8Array)).toBe(0);
    await expect(frameBytes(imageSetId, before.ImageFrames[0].ID)).rejects.toThrow('does not exist');
    const versions = await client.send(new ListImageSetVersionsCommand({ datastoreId, imageSetId }));
    expect(versions.imageSetPropertiesList?.map(({ versionId }) => versionId)).toEqual(['2', '1']);
    const first = await client.send(new GetImageSetCommand({ datastoreId, imageSetId, versionId: '1' }));
    expect(first).toMatchObject({ versionId: '1', imageSetState: 'ACTIVE', imageSetWorkflowStatus: 'CREATED' });
  });

  it('keep another patient under the same study apart, not primary', async () => {
    put('a.dcm', part10(ctSlice(1)));
    put('b.dcm', part10(ctSlice(2, { 1048608: ['LO', 'OTHER'] })));
    await runJob();
    const sets = (await search()).map(({ isPrimary, DICOMTags }) => [isPrimary, DICOMTags?.DICOMPatientId]);
    expect(sets.sort()).toEqual([
      [false, 'OTHER'],
      [true, 'TEST-1'],
    ]);
  });

  it('fail as a whole with a message when there is nothing to read', async () => {
    expect(await runJob()).toMatchObject({ jobStatus: 'FAILED', message: expect.stringContaining('No files') });
    input = join(scratch.path, 'allowed', 'missing');
    expect(await runJob()).toMatchObject({ jobStatus: 'FAILED', message: expect.stringContaining('cannot be read') });
    const failed = await client.send(
      new ListDICOMImportJobsCommand({ datastoreId, jobStatus: 'FAILED', maxResults: 1 }),
    );
    expect(failed.jobSummaries).toHaveLength(1);
    expect(failed.nextToken).toBeDefined();
  });

  it('are refused outside the allow-list, and repeated by their token', async () => {
    const start = (inputS3Uri: string, clientToken: string) =>
      client.send(
        new StartDICOMImportJobCommand({
          datastoreId,
          dataAccessRoleArn: roleArn,
          clientToken,
          inputS3Uri,
          outputS3Uri: output(),
        }),
      );
    await expect(start(uri(scratch.path), 't1')).rejects.toMatchObject({ name: 'AccessDeniedException' });
    await expect(start('s3://bucket/', 't1')).rejects.toMatchObject({ name: 'AccessDeniedException' });
    put('a.dcm', part10(ctSlice(1)));
    const first = await start(uri(input), 't2');
    expect((await start(uri(input), 't2')).jobId).toBe(first.jobId);
    await expect(start(`${uri(input)}/sub`, 't2')).rejects.toMatchObject({ name: 'ConflictException' });
  });
});

describe('deletion', () => {
  it('takes the image set away at once, and the data store only when it is empty', async () => {
    put('a.dcm', part10(ctSlice(1)));
    await runJob();
    const imageSetId = (await search())[0]?.imageSetId as string;
    const deleteStore = () => client.send(new DeleteDatastoreCommand({ datastoreId }));
    await expect(deleteStore()).rejects.toMatchObject({ name: 'ConflictException' });
    const answer = await client.send(new DeleteImageSetCommand({ datastoreId, imageSetId }));
    expect(answer).toMatchObject({ imageSetState: 'LOCKED', imageSetWorkflowStatus: 'DELETING' });
    expect(await search()).toEqual([]);
    const gone = client.send(new GetImageSetCommand({ datastoreId, imageSetId }));
    await expect(gone).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    expect(await deleteStore()).toMatchObject({ datastoreStatus: 'DELETING' });
    await expect(search()).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });
});
