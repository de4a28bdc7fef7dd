import { encode } from 'fast-png';
import type { DicomDataset } from '../dicom/dataset.ts';
import { tags } from '../dicom/dictionary.ts';
import type { ImagePixelFormat } from '../dicom/image-pixel.ts';
import { unprocessable } from '../dicom/unprocessable.ts';

/** From stored value to grey. */
interface GreyScale {
  readonly slope: number;
  readonly intercept: number;
  /** Undefined: from the least to the greatest value of the frame. */
  readonly window: { readonly center: number; readonly width: number } | undefined;
  readonly isInverted: boolean;
}

/**
 * One frame as an 8-bit PNG for people to look at: grey by the object's first window (PS3.3 C.11.2.1.2), else from its
 * least to its greatest value; colour as RGB. Not for measuring.
 *
 * @param pixels - decoded, little-endian, interleaved; single bits packed
 * @throws EndpointError `unprocessable_image` for palettes, subsampled colour and more than 32 bits
 */
export function framePng(pixels: Uint8Array, format: ImagePixelFormat, attributes: DicomDataset): Uint8Array {
  const { columns: width, rows: height, samplesPerPixel, photometricInterpretation: colour } = format;
  if (samplesPerPixel === 1 && colour.startsWith('MONOCHROME')) {
    const data = greyPixels(storedValues(pixels, format), greyScale(attributes, colour));
    return encode({ width, height, data, channels: 1, depth: 8 });
  }
  if (samplesPerPixel === 3 && (colour === 'RGB' || colour === 'YBR_FULL')) {
    const data = Uint8Array.from(storedValues(pixels, format), (value) => value / 2 ** (format.bitsStored - 8));
    if (colour === 'YBR_FULL') toRgb(data);
    return encode({ width, height, data, channels: 3, depth: 8 });
  }
  throw unprocessable(`A frame of ${colour} cannot be shown as PNG.`);
}

function greyScale(attributes: DicomDataset, colour: string): GreyScale {
  const [center, width] = [attributes.number(tags.WindowCenter), attributes.number(tags.WindowWidth)];
  return {
    slope: attributes.number(tags.RescaleSlope) ?? 1,
    intercept: attributes.number(tags.RescaleIntercept) ?? 0,
    window: center === undefined || width === undefined || width < 1 ? undefined : { center, width },
    isInverted: colour === 'MONOCHROME1',
  };
}

/** Samples as numbers; what lies above BitsStored is no part of the value. */
function storedValues(pixels: Uint8Array, format: ImagePixelFormat): ArrayLike<number> & Iterable<number> {
  const { bitsAllocated, bitsStored, pixelRepresentation, rows, columns, samplesPerPixel } = format;
  const count = rows * columns * samplesPerPixel;
  if (bitsAllocated > 32) throw unprocessable(`Frames of ${bitsAllocated} bits a sample cannot be shown as PNG.`);
  if (bitsAllocated === 1) {
    return Uint8Array.from({ length: count }, (_, at) => ((pixels[at >> 3] as number) >> (at & 7)) & 1);
  }
  const bytes = bitsAllocated / 8;
  const view = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const unused = 32 - bitsStored;
  const values = new Float64Array(count);
  for (let at = 0; at < count; at++) {
    const raw =
      bytes === 1 ? view.getUint8(at) : bytes === 2 ? view.getUint16(at * 2, true) : view.getUint32(at * 4, true);
    values[at] = pixelRepresentation === 1 ? (raw << unused) >> unused : (raw << unused) >>> unused;
  }
  return values;
}

function greyPixels(values: ArrayLike<number>, scale: GreyScale): Uint8Array {
  const { slope, intercept } = scale;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  if (scale.window) {
    const { center, width } = scale.window;
    low = center - 0.5 - (width - 1) / 2;
    high = center - 0.5 + (width - 1) / 2;
  } else {
    for (let at = 0; at < values.length; at++) {
      const value = (values[at] as number) * slope + intercept;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const span = high - low;
  const out = new Uint8Array(values.length);
  for (let at = 0; at < out.length; at++) {
    const value = (values[at] as number) * slope + intercept;
    const part = span > 0 ? (value - low) / span : value > low ? 1 : 0;
    const grey = Math.round(Math.min(1, Math.max(0, part)) * 255);
    out[at] = scale.isInverted ? 255 - grey : grey;
  }
  return out;
}

/** YBR_FULL in place (PS3.3 C.7.6.3.1.2). */
function toRgb(data: Uint8Array): void {
  const clamp = (value: number) => Math.round(Math.min(255, Math.max(0, value)));
  for (let at = 0; at + 2 < data.length; at += 3) {
    const [y, cb, cr] = [data[at] as number, (data[at + 1] as number) - 128, (data[at + 2] as number) - 128];
    data[at] = clamp(y + 1.402 * cr);
    data[at + 1] = clamp(y - 0.344136 * cb - 0.714136 * cr);
    data[at + 2] = clamp(y + 1.772 * cb);
  }
}
