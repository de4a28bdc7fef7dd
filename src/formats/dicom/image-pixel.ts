import type { DicomDataset } from './dataset.ts';
import { tags } from './tags.ts';
import { unprocessable } from './unprocessable.ts';

/** The attributes of the Image Pixel module (PS3.3 C.7.6.3) that say how a frame's bytes are laid out. */
export interface ImagePixelFormat {
  readonly rows: number;
  readonly columns: number;
  readonly samplesPerPixel: number;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  /** 0 unsigned, 1 two's complement. */
  readonly pixelRepresentation: 0 | 1;
  readonly photometricInterpretation: string;
  /** 0 interleaved (RGBRGB…), 1 by plane; only of native and RLE frames with several samples. */
  readonly planarConfiguration: 0 | 1;
}

function required(dataset: DicomDataset, tag: number, name: string, allowed: (value: number) => boolean): number {
  const value = dataset.number(tag);
  if (value === undefined || !Number.isInteger(value) || !allowed(value)) {
    throw unprocessable(`The image has no usable ${name}${value === undefined ? '' : ` (${value})`}.`);
  }
  return value;
}

/**
 * Reads and checks the pixel layout of an image.
 *
 * @throws EndpointError `unprocessable_image` naming the attribute that is missing or makes no sense
 */
export function imagePixelFormat(dataset: DicomDataset): ImagePixelFormat {
  const size = (value: number) => value >= 1 && value <= 65_535;
  const bitsAllocated = required(dataset, tags.BitsAllocated, 'BitsAllocated', (bits) =>
    [1, 8, 16, 32, 64].includes(bits),
  );
  const bitsStored = dataset.number(tags.BitsStored) ?? bitsAllocated;
  if (bitsStored < 1 || bitsStored > bitsAllocated) {
    throw unprocessable(`The image has BitsStored ${bitsStored} with BitsAllocated ${bitsAllocated}.`);
  }
  return {
    rows: required(dataset, tags.Rows, 'Rows', size),
    columns: required(dataset, tags.Columns, 'Columns', size),
    samplesPerPixel: required(dataset, tags.SamplesPerPixel, 'SamplesPerPixel', (count) => count >= 1 && count <= 4),
    bitsAllocated,
    bitsStored,
    pixelRepresentation: dataset.number(tags.PixelRepresentation) === 1 ? 1 : 0,
    photometricInterpretation: dataset.string(tags.PhotometricInterpretation) ?? 'MONOCHROME2',
    planarConfiguration: dataset.number(tags.PlanarConfiguration) === 1 ? 1 : 0,
  };
}

/** Bits of one decoded frame. */
export const frameBits = (format: ImagePixelFormat): number =>
  format.rows * format.columns * format.samplesPerPixel * format.bitsAllocated;

/** Bytes of one decoded frame; a frame of single bits is padded to a byte. */
export const frameBytes = (format: ImagePixelFormat): number => Math.ceil(frameBits(format) / 8);
