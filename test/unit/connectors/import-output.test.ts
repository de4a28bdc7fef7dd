import { describe, expect, it } from 'vitest';
import { readImportOutput } from '../../../src/connectors/healthimaging/import-output.ts';

const id = { datastoreId: 'd'.repeat(32), jobId: 'j'.repeat(32) };
const summary = {
  numberOfScannedFiles: 3,
  numberOfImportedFiles: 2,
  numberOfFilesWithCustomerError: 1,
  numberOfFilesWithServerError: 0,
  imageSetsSummary: [{ imageSetId: 'a', imageSetVersion: 1, isPrimary: false, numberOfMatchedSOPInstances: 2 }],
};
const success = (file: string, imageSetId = 'a') => ({
  inputFile: file,
  importResponse: { imageSetId, isPrimary: false },
});
const failure = { inputFile: 'in/3.dcm', exception: { exceptionType: 'ValidationException', message: 'no UID' } };
const lines = (...values: object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('');

const read = (files: Record<string, string | undefined>) =>
  readImportOutput(async (name) => {
    const text = files[name];
    return text === undefined ? undefined : Buffer.from(text);
  }, id);
const whole = {
  'job-output-manifest.json': JSON.stringify({ jobSummary: summary }),
  'SUCCESS/success.ndjson': lines(success('in/1.dcm'), success('in/2.dcm')),
  'FAILURE/failure.ndjson': lines(failure),
};

describe('the output of an import job', () => {
  it('gives the image sets, the image set of each file, and what was refused', async () => {
    expect(await read(whole)).toEqual({
      ...id,
      imageSets: [{ imageSetId: 'a', isPrimary: false, instances: 2 }],
      scannedFiles: 3,
      importedFiles: 2,
      files: [
        { file: 'in/1.dcm', imageSetId: 'a' },
        { file: 'in/2.dcm', imageSetId: 'a' },
      ],
      failures: [{ file: 'in/3.dcm', error: 'ValidationException', message: 'no UID' }],
    });
  });

  it('finds the image sets by the files where the manifest has no list', async () => {
    const { imageSetsSummary: _, ...older } = summary;
    const report = await read({
      ...whole,
      'job-output-manifest.json': JSON.stringify({ jobSummary: older }),
      'SUCCESS/success.ndjson': lines(success('in/1.dcm'), success('in/2.dcm', 'b')),
    });
    expect(report.imageSets.map(({ imageSetId, instances }) => [imageSetId, instances])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  it.each([
    ['no manifest', { 'job-output-manifest.json': undefined }],
    ['a manifest that is none', { 'job-output-manifest.json': '{"jobSummary":{}}' }],
    ['a list with a line too few', { 'SUCCESS/success.ndjson': lines(success('in/1.dcm')) }],
    ['no list of failures', { 'FAILURE/failure.ndjson': undefined }],
    ['a line that is cut', { 'SUCCESS/success.ndjson': `${lines(success('in/1.dcm'))}{"inputFile":` }],
  ])('%s is an error, never a shorter list', async (_name, change) => {
    await expect(read({ ...whole, ...change })).rejects.toMatchObject({ code: 'upstream_failed' });
  });
});
