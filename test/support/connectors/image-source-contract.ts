import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImageSource, InputReference } from '../../../src/connectors/image-source.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { decodeFrame } from '../../../src/formats/dicom/frame-decoder.ts';
import { imagePixelFormat } from '../../../src/formats/dicom/image-pixel.ts';
import { regularSlices, testPixels, testSeriesUid } from './test-series.ts';

/** A driver with what it must be given: the slices of `regularSlices(5)`, and a reference to nothing. */
export interface SourceUnderTest {
  readonly source: ImageSource;
  readonly reference: InputReference;
  readonly missing: InputReference;
  /** A reference that belongs to another driver. */
  readonly foreign: InputReference;
  close?(): Promise<void>;
}

/** What every {@link ImageSource} does. */
export function describeImageSource(name: string, setUp: () => Promise<SourceUnderTest>): void {
  describe(`ImageSource contract: ${name}`, () => {
    let under: SourceUnderTest;
    let scratchDir: string;
    const slices = regularSlices(5);
    const signal = new AbortController().signal;
    const open = async () => {
      const loaded = await under.source.open(under.reference, { signal, scratchDir });
      if (loaded.kind !== 'dicom') throw new Error('no series');
      return loaded.series;
    };

    beforeAll(async () => {
      scratchDir = mkdtempSync(join(tmpdir(), 'source-contract-'));
      under = await setUp();
    });
    afterAll(async () => {
      await under.close?.();
      rmSync(scratchDir, { recursive: true, force: true });
    });

    it('accepts its own references only', () => {
      expect(under.source.accepts(under.reference)).toBe(true);
      expect(under.source.accepts(under.foreign)).toBe(false);
    });

    it('gives the series with all attributes and no pixel data', async () => {
      const [series, ...others] = await open();
      expect(others).toEqual([]);
      expect(series?.seriesInstanceUid).toBe(testSeriesUid);
      const numbers = series!.instances.map(({ attributes }) => attributes.number(tags.InstanceNumber));
      expect(numbers.toSorted()).toEqual([1, 2, 3, 4, 5]);
      for (const { attributes, numberOfFrames } of series!.instances) {
        expect(numberOfFrames).toBe(1);
        expect(attributes.string(tags.StudyInstanceUID)).toBe('1.2.3');
        expect(attributes.string(tags.PatientID)).toBe('P1');
        expect(attributes.numbers(tags.PixelSpacing)).toEqual([2, 1]);
        expect(attributes.get(tags.RescaleIntercept)).toEqual({ vr: 'DS', values: ['-1024'] });
        expect(attributes.has(tags.PixelData)).toBe(false);
      }
    });

    it('gives every frame, in any order and at once', async () => {
      const [series] = await open();
      await Promise.all(
        series!.instances.toReversed().map(async ({ attributes, readFrame }) => {
          const index = (attributes.number(tags.InstanceNumber) as number) - 1;
          const { bytes, transferSyntaxUid, decodedCrc32, decodedBytes } = await readFrame(0, signal);
          const expectedCrc32 = decodedCrc32 === undefined ? {} : { expectedCrc32: decodedCrc32 };
          const pixels = await decodeFrame({
            ...imagePixelFormat(attributes),
            bytes,
            transferSyntaxUid,
            ...expectedCrc32,
          });
          const expected = new Uint8Array(testPixels(slices[index]!, index).buffer);
          expect(Buffer.from(pixels)).toEqual(Buffer.from(expected));
          if (decodedBytes !== undefined) expect(decodedBytes).toBe(expected.length);
        }),
      );
    });

    it('says that there is no such frame', async () => {
      const [series] = await open();
      await expect(series!.instances[0]!.readFrame(1, signal)).rejects.toMatchObject({ code: 'unprocessable_image' });
    });

    it('says that there is no such input', async () => {
      await expect(under.source.open(under.missing, { signal, scratchDir })).rejects.toMatchObject({
        code: 'input_not_found',
      });
    });

    it('stops with the reason of an aborted signal', async () => {
      const [series] = await open();
      await expect(series!.instances[0]!.readFrame(0, AbortSignal.abort())).rejects.toMatchObject({
        code: 'deadline_exceeded',
      });
      await expect(
        under.source.open(under.reference, { signal: AbortSignal.abort(), scratchDir }),
      ).rejects.toMatchObject({ code: 'deadline_exceeded' });
    });
  });
}
