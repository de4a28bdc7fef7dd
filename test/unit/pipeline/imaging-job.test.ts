import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { decode } from 'fast-png';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import { AllowedUris } from '../../../src/connectors/allowed-uris.ts';
import { FilesystemSink } from '../../../src/connectors/filesystem/filesystem-sink.ts';
import type { ImageSource } from '../../../src/connectors/image-source.ts';
import { EndpointError } from '../../../src/errors.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { readPart10 } from '../../../src/formats/dicom/part10-reader.ts';
import { readNifti } from '../../../src/formats/nifti/reader.ts';
import type { Network } from '../../../src/imaging/network.ts';
import { runImagingJob } from '../../../src/pipeline/imaging-application.ts';
import type { ImagingBundle } from '../../../src/pipeline/imaging-bundle.ts';
import type { ImagingJob } from '../../../src/pipeline/imaging-job.ts';
import { regularSlices, testSeries } from '../../support/connectors/test-series.ts';

const root = mkdtempSync(join(tmpdir(), 'imaging-job-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let out: string;
let count = 0;
beforeEach(() => {
  out = join(root, `out-${count++}`);
});

/** A bundle that calls everything above a threshold the spleen: the pipeline around it is what is tested. */
const thresholdBundle: ImagingBundle = {
  metadata: { version: '2.0', modality: 'CT', channelDef: { '0': 'background', '1': 'spleen' } },
  async infer(image, { progress }) {
    progress('inference', 0);
    progress('postprocess', 0);
    const labels = Float32Array.from(image.data, (value) => (value > 100 ? 1 : 0));
    return { kind: 'image', channels: [labels], shape: image.shape, affineRas: image.affineRas, fromArgmax: true };
  },
};
const network = { inputs: [], outputs: [], concurrency: 1 } as unknown as Network;
const series = testSeries(regularSlices(5));
const source: ImageSource = {
  accepts: (reference) => 'uri' in reference,
  open: async () => ({ kind: 'dicom', series: [series] }),
};

function job(more: Partial<ImagingJob> = {}): ImagingJob {
  return {
    inputs: [{ uri: 's3://bucket/series/' }],
    bundle: thresholdBundle,
    mapJson: parseMapJson({}),
    model: { name: 'sub/spleen', sha256: 'ab'.repeat(32) },
    network,
    pool: new InThreadPool(),
    sources: [source],
    sinks: [new FilesystemSink(new AllowedUris([root]))],
    signal: new AbortController().signal,
    scratchDir: join(root, 'scratch'),
    ...more,
  };
}
const outputUri = () => pathToFileURL(out).href;

describe('runImagingJob', () => {
  it('gives the files back when no place for them is named', async () => {
    const { answer, files } = await runImagingJob(job({ elapsedMs: { queue: 3, load: 4 } }));
    expect(answer).toMatchObject({
      model: { name: 'sub/spleen', version: '2.0', sha256: 'ab'.repeat(32) },
      measurements: [{ segment: 'Spleen', value: 1 }],
      timingsMs: { queue: 3, load: 4 },
    });
    expect(files.map(({ fileName }) => fileName)).toEqual(['dicom-seg.dcm', 'json.json']);
    expect(answer.outputs.map(({ bytes }) => bytes)).toEqual(files.map(({ bytes }) => bytes.length));
    const [{ voxels } = { voxels: 0 }] = answer.measurements;
    // 100 HU is 1124 stored: pixels of slice k are 1024 + 50 k + 0…11.
    expect(voxels).toBe(12 * 2 + 11);
    const { dataset } = readPart10(files[0]!.bytes);
    expect(dataset.string(tags.SOPInstanceUID)).toBe(answer.outputs[0]?.sopInstanceUid);
    expect(dataset.string(tags.PatientID)).toBe('P1');
  });

  it('writes them under model and inferenceId, with the answer as result.json', async () => {
    const told: string[] = [];
    const { answer, files } = await runImagingJob(
      job({ outputUri: outputUri(), inferenceId: 'run-1', writing: (prefix) => void told.push(prefix) }),
    );
    expect(files).toEqual([]);
    expect(told).toEqual([`${outputUri()}/sub/spleen/run-1/`]);
    const folder = join(out, 'sub/spleen/run-1');
    expect(readdirSync(folder).sort()).toEqual(['dicom-seg.dcm', 'json.json', 'result.json']);
    const { fingerprint, ...result } = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'));
    expect(result).toEqual(answer);
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(answer.outputs[0]?.uri).toBe(`${outputUri()}/sub/spleen/run-1/dicom-seg.dcm`);
  });

  it('repeats a request into the same place with the same UIDs', async () => {
    const first = await runImagingJob(job({ outputUri: outputUri() }));
    const second = await runImagingJob(job({ outputUri: outputUri() }));
    expect(second.answer.inferenceId).toBe(first.answer.inferenceId);
    expect(second.answer.outputs[0]?.sopInstanceUid).toBe(first.answer.outputs[0]?.sopInstanceUid);
    expect(readdirSync(join(out, 'sub/spleen'))).toEqual([first.answer.inferenceId]);
  });

  it('refuses an inferenceId that another request has used, before any work', async () => {
    await runImagingJob(job({ outputUri: outputUri(), inferenceId: 'same' }));
    const untouched: ImageSource = { ...source, open: () => Promise.reject(new Error('opened')) };
    const other = job({
      outputUri: outputUri(),
      inferenceId: 'same',
      inputs: [{ uri: 's3://bucket/other/' }],
      sources: [untouched],
    });
    await expect(runImagingJob(other)).rejects.toMatchObject({ code: 'conflict' });
    const otherModel = job({
      outputUri: outputUri(),
      inferenceId: 'same',
      model: { name: 'sub/spleen', sha256: 'cd'.repeat(32) },
    });
    await expect(runImagingJob(otherModel)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('gives objects of different inputs different UIDs under the same inferenceId', async () => {
    const first = await runImagingJob(job({ inferenceId: 'same' }));
    const second = await runImagingJob(job({ inferenceId: 'same', inputs: [{ uri: 's3://bucket/other/' }] }));
    expect(second.answer.outputs[0]?.sopInstanceUid).not.toBe(first.answer.outputs[0]?.sopInstanceUid);
  });

  it('tells the same body from another by its bytes', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => join(root, name)) as [string, string, string];
    writeFileSync(a, 'same');
    writeFileSync(b, 'same');
    writeFileSync(c, 'other');
    const bodySource: ImageSource = { ...source, accepts: (reference) => 'body' in reference };
    const idOf = async (path: string) => {
      const inputs = [{ body: { path, contentType: 'application/zip' } }];
      return (await runImagingJob(job({ inputs, sources: [bodySource] }))).answer.inferenceId;
    };
    expect(await idOf(a)).toBe(await idOf(b));
    expect(await idOf(a)).not.toBe(await idOf(c));
  });

  it.each<[string, Partial<ImagingJob>, string]>([
    [
      'a failing bundle',
      { bundle: { ...thresholdBundle, infer: () => Promise.reject(new EndpointError('model_failed', 'no')) } },
      'model_failed',
    ],
    [
      'an output type that is not written',
      { mapJson: parseMapJson({ outputs: [{ type: 'stl' }] }) },
      'unsupported_bundle',
    ],
    ['an end of the request', { signal: AbortSignal.abort() }, 'deadline_exceeded'],
    ['an output of another scheme', { outputUri: 'ftp://host/x' }, 'invalid_request'],
    ['an output outside the allow-list', { outputUri: 'file:///elsewhere' }, 'forbidden'],
  ])('leaves nothing behind after %s', async (_name, more, code) => {
    await expect(runImagingJob(job({ outputUri: outputUri(), ...more }))).rejects.toMatchObject({ code });
    expect(readdirSync(root).filter((name) => name === `out-${count - 1}`)).toEqual([]);
  });

  it('writes NIfTI where the input is one', async () => {
    const volume = {
      data: new Int16Array(8).fill(200),
      shape: [2, 2, 2],
      affineRas: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    } as const;
    const nifti: ImageSource = { ...source, open: async () => ({ kind: 'volume', volume }) };
    const { answer } = await runImagingJob(job({ sources: [nifti] }));
    expect(answer.outputs.map(({ fileName }) => fileName)).toEqual(['nifti.nii.gz', 'json.json']);
    expect(answer.measurements[0]).toMatchObject({ voxels: 8, volumeMl: 0.008 });
  });

  it('draws an overview and writes a label map that agree with the measurements', async () => {
    const mapJson = parseMapJson({ outputs: [{ type: 'png' }, { type: 'nifti' }] });
    const { answer, files } = await runImagingJob(job({ mapJson }));
    expect(files.map(({ fileName }) => fileName)).toEqual(['png.png', 'nifti.nii.gz']);
    const picture = decode(files[0]!.bytes);
    const reddish = Array.from(
      { length: picture.width * picture.height },
      (_, at) => picture.data[3 * at]! - picture.data[3 * at + 1]!,
    );
    expect(reddish.filter((difference) => difference > 100).length).toBeGreaterThan(0);
    const { data } = readNifti(files[1]!.bytes);
    expect([...data].filter((value) => value === 1)).toHaveLength(answer.measurements[0]!.voxels);
  });

  it('keeps a name of map.json from leading anywhere', async () => {
    await runImagingJob(
      job({ outputUri: outputUri(), inferenceId: 'x', mapJson: parseMapJson({ name: '../../Spleen CT/..' }) }),
    );
    expect(readdirSync(join(out, '_/_/Spleen_CT/_/x'))).toContain('result.json');
  });
});
