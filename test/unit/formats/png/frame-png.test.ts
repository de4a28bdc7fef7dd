import { decode } from 'fast-png';
import { expect, it } from 'vitest';
import { DicomDataset } from '../../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../../src/formats/dicom/dictionary.ts';
import type { ImagePixelFormat } from '../../../../src/formats/dicom/image-pixel.ts';
import { framePng } from '../../../../src/formats/png/frame-png.ts';

const grey: ImagePixelFormat = {
  rows: 1,
  columns: 4,
  samplesPerPixel: 1,
  bitsAllocated: 16,
  bitsStored: 12,
  pixelRepresentation: 1,
  photometricInterpretation: 'MONOCHROME2',
  planarConfiguration: 0,
};
const shown = (pixels: Uint8Array, format: ImagePixelFormat, attributes = new DicomDataset()) => [
  ...decode(framePng(pixels, format, attributes)).data,
];
const bytesOf = (values: number[]) => new Uint8Array(Int16Array.from(values).buffer);

it('shows grey by the window, after the rescale', () => {
  const attributes = new DicomDataset()
    .set(tags.WindowCenter, 'DS', '0.5')
    .set(tags.WindowWidth, 'DS', '101')
    .set(tags.RescaleSlope, 'DS', '2')
    .set(tags.RescaleIntercept, 'DS', '-100');
  expect(shown(bytesOf([0, 25, 50, 100]), grey, attributes)).toEqual([0, 0, 128, 255]);
});

it('shows grey from least to greatest without a window, and MONOCHROME1 the other way round', () => {
  expect(shown(bytesOf([-10, 0, 5, 10]), grey)).toEqual([0, 128, 191, 255]);
  expect(shown(bytesOf([-10, 0, 5, 10]), { ...grey, photometricInterpretation: 'MONOCHROME1' })).toEqual([
    255, 127, 64, 0,
  ]);
});

it('shows single bits, and colour', () => {
  expect(shown(Uint8Array.of(0b0110), { ...grey, bitsAllocated: 1, bitsStored: 1, pixelRepresentation: 0 })).toEqual([
    0, 255, 255, 0,
  ]);
  const colour = {
    ...grey,
    columns: 1,
    samplesPerPixel: 3,
    bitsAllocated: 8,
    bitsStored: 8,
    pixelRepresentation: 0 as const,
  };
  expect(shown(Uint8Array.of(1, 2, 3), { ...colour, photometricInterpretation: 'RGB' })).toEqual([1, 2, 3]);
  expect(shown(Uint8Array.of(76, 85, 255), { ...colour, photometricInterpretation: 'YBR_FULL' })).toEqual([254, 0, 0]);
});

it('refuses what it cannot show', () => {
  const palette = { ...grey, bitsAllocated: 8, bitsStored: 8, photometricInterpretation: 'PALETTE COLOR' };
  expect(() => framePng(new Uint8Array(4), palette, new DicomDataset())).toThrowError(
    expect.objectContaining({ code: 'unprocessable_image' }),
  );
});
