import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { createConnectors } from '../../../src/connectors/drivers.ts';
import type { EncodedFrame } from '../../../src/connectors/image-source.ts';
import { DicomDataset } from '../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { readNifti } from '../../../src/formats/nifti/reader.ts';
import type { Volume } from '../../../src/imaging/volume.ts';
import { createLogger } from '../../../src/logger.ts';
import { DicomDataLoader } from '../../../src/pipeline/operators/dicom-data-loader.ts';
import { resampleNearest } from '../../../src/pipeline/operators/nearest-resample.ts';
import { SeriesSelector } from '../../../src/pipeline/operators/series-selector.ts';
import { SeriesToVolume } from '../../../src/pipeline/operators/series-to-volume.ts';
import { regularSlices, type TestSlice, testPixels, testSeries } from '../../support/connectors/test-series.ts';
import { testContext } from '../../support/pipeline-context.ts';
import { hasShared, shared } from '../../support/shared-data.ts';

/** A Python with pydicom and its decoders; .ci/run makes one. */
const python = process.env.MAP_ENDPOINT_PYTHON;
const context = testContext();
afterAll(() => context.close());

type FrameHook = (index: number, encoded: EncodedFrame) => EncodedFrame | Promise<EncodedFrame>;
async function volumeOf(slices: readonly TestSlice[], frame?: FrameHook): Promise<Volume> {
  const selected = { kind: 'dicom', series: testSeries(slices, frame) } as const;
  return (await new SeriesToVolume().compute({ selected }, context)).image.volume;
}

describe('values', () => {
  it('rescales slice by slice, in slice order, whatever order the frames arrive in', async () => {
    const slices = regularSlices(20).map(
      (slice, index): TestSlice => ({ ...slice, intercept: -index, slope: 1 + (index % 3) }),
    );
    const late: FrameHook = async (index, encoded) => {
      await new Promise((resolve) => setTimeout(resolve, ((index * 7) % 5) * 4));
      return encoded;
    };
    const volume = await volumeOf(slices, late);
    const expected = slices.flatMap((slice, index) =>
      [...testPixels(slice, index)].map((value) => value * (1 + (index % 3)) - index),
    );
    expect(volume.data).toBeInstanceOf(Int16Array);
    expect([...volume.data]).toEqual(expected);
    expect(volume.shape).toEqual([4, 3, 20]);
  });

  it('is float where 16 bits would not be exact', async () => {
    const volume = await volumeOf(regularSlices(2, { slope: 0.5, intercept: 0.25 }));
    expect(volume.data).toBeInstanceOf(Float32Array);
    expect(volume.data[1]).toBe(1025 * 0.5 + 0.25);
    const wide = await volumeOf(regularSlices(2, { slope: 100, intercept: 0 }));
    expect(wide.data).toBeInstanceOf(Float32Array);
    expect(wide.data[0]).toBe(102_400);
  });

  it('applies a modality LUT', async () => {
    const lut = new DicomDataset().set(tags.LUTDescriptor, 'US', 4, 1024, 16).set(tags.LUTData, 'US', 10, 20, 30, 40);
    const volume = await volumeOf(
      regularSlices(1, {
        pixels: [1000, 1024, 1025, 1026, 1027, 1028, 0, 0, 0, 0, 0, 4095],
        set: (a) => a.set(tags.ModalityLUTSequence, 'SQ', lut),
      }),
    );
    expect([...volume.data].slice(0, 6)).toEqual([10, 10, 20, 30, 40, 40]);
    expect(volume.data[11]).toBe(40);
  });

  it('warns of a tilted gantry', async () => {
    const tilted = regularSlices(3).map((slice, k): TestSlice => ({ ...slice, position: [0, k, 3 * k] }));
    await volumeOf(tilted);
    expect(context.warnings.join()).toContain('18.4 degrees');
  });
});

describe('frames that cannot be used', () => {
  const with3 =
    (change: (encoded: EncodedFrame) => EncodedFrame): FrameHook =>
    (index, encoded) =>
      index === 3 ? change(encoded) : encoded;

  it.each<[string, (encoded: EncodedFrame) => EncodedFrame, string, RegExp]>([
    [
      'too short',
      (frame) => ({ ...frame, bytes: frame.bytes.slice(2) }),
      'unprocessable_image',
      /Frame 1 of instance 1\.2\.3\.4\.4/,
    ],
    [
      'of an unknown syntax',
      (frame) => ({ ...frame, transferSyntaxUid: '1.2.840.10008.1.2.4.100' }),
      'unprocessable_image',
      /4\.100/,
    ],
    ['with a wrong CRC', (frame) => ({ ...frame, decodedCrc32: crc32(frame.bytes) ^ 1 }), 'upstream_failed', /CRC-32/],
    ['of a wrong size', (frame) => ({ ...frame, decodedBytes: 23 }), 'upstream_failed', /23 decoded bytes/],
  ])('%s', async (_name, change, code, message) => {
    await expect(volumeOf(regularSlices(6), with3(change))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('of colour', async () => {
    const colour = regularSlices(2, {
      set: (a) => a.set(tags.SamplesPerPixel, 'US', 3).set(tags.PhotometricInterpretation, 'CS', 'RGB'),
    });
    await expect(volumeOf(colour)).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringContaining('colour'),
    });
  });
});

describe.skipIf(!hasShared)('real series', () => {
  const { sources } = createConnectors({ allowedUris: [shared('data')] }, createLogger('test', 'silent'));
  async function read(name: string, modality: string) {
    const { images } = await new DicomDataLoader([{ uri: `file://${shared('data')}/${name}` }], sources).compute(
      {},
      context,
    );
    const { selected } = await new SeriesSelector({ modality, isRequested: false }).compute({ images }, context);
    return (await new SeriesToVolume().compute({ selected }, context)).image;
  }

  it.each([
    ['ct-abdomen-30', 'CT'],
    ['mr-t1-brain', 'MR'],
  ])('%s has every voxel where its NIfTI has it', async (name, modality) => {
    const { volume } = await read(name, modality);
    const nifti = readNifti(readFileSync(shared(`data/${name}.nii.gz`)));
    const moved = resampleNearest(new Float32Array(volume.data), volume, nifti, new Float32Array(nifti.data.length));
    let different = 0;
    for (let at = 0; at < moved.length; at++)
      if (Math.abs((moved[at] as number) - (nifti.data[at] as number)) > 0.5) different++;
    expect(different).toBe(0);
  });

  it('ct-thorax-20 (JPEG 2000, no UIDs) is placed', async () => {
    const { volume, slices } = await read('ct-thorax-20', 'CT');
    expect(volume.shape).toEqual([512, 512, 20]);
    // 20 slices 2 mm apart; the lowest first.
    expect(volume.affineRas).toEqual([
      -0.9765625, 0, 0, 249.51171875, 0, -0.9765625, 0, 437.51171875, 0, 0, 2, -804.5, 0, 0, 0, 1,
    ]);
    expect(slices).toHaveLength(20);
  });

  it.skipIf(!python)('ct-thorax-20 has the values that pydicom decodes', async () => {
    const { volume } = await read('ct-thorax-20', 'CT');
    const script = `import glob, pydicom, zlib, numpy as np
d = sorted((pydicom.dcmread(f) for f in glob.glob(${JSON.stringify(`${shared('data/ct-thorax-20')}/*`)})), key=lambda x: x.ImagePositionPatient[2])
v = np.stack([x.pixel_array.astype('int32') * int(x.RescaleSlope) + int(x.RescaleIntercept) for x in d]).astype('<i2')
print(zlib.crc32(v.tobytes()))`;
    const judged = Number(execFileSync(python as string, ['-c', script], { encoding: 'utf8' }));
    expect(crc32(new Uint8Array(volume.data.buffer))).toBe(judged);
  });
});
