import { encode } from 'fast-png';
import type { DicomDataset } from '../../formats/dicom/dataset.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { ImagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import { isColourDecoded } from './instance-bytes-task.ts';
import { notAcceptable } from './media-types.ts';

/** Grey window in rescaled values. */
export interface RenderWindow {
  readonly center: number;
  readonly width: number;
}

/**
 * Draws a decoded frame as an 8-bit PNG: grey through the rescale and a window (asked for, else the image's own, else
 * from least to greatest value), MONOCHROME1 inverted; RGB as it is.
 *
 * @throws ServiceError `NotAcceptableException` for colour that is not drawn here
 */
export function renderPng(
  pixels: Uint8Array,
  format: ImagePixelFormat,
  dataset: DicomDataset,
  storedSyntaxUid: string,
  asked: RenderWindow | undefined,
): Uint8Array {
  const { rows: height, columns: width, samplesPerPixel, bitsAllocated, photometricInterpretation } = format;
  if (samplesPerPixel === 3) {
    const isRgb = photometricInterpretation === 'RGB' || isColourDecoded(storedSyntaxUid, format);
    if (!isRgb || bitsAllocated !== 8) throw notAcceptable('Pictures are drawn of grey and of 8-bit RGB images.');
    return encode({ width, height, data: pixels, channels: 3, depth: 8 });
  }
  if (samplesPerPixel !== 1 || !photometricInterpretation.startsWith('MONOCHROME')) {
    throw notAcceptable(`Pictures of ${photometricInterpretation} images are not drawn.`);
  }
  const values = rescaled(pixels, format, dataset);
  const { center, width: span } = asked ?? ownWindow(dataset) ?? fullWindow(values);
  const invert = photometricInterpretation === 'MONOCHROME1';
  const data = new Uint8Array(width * height);
  // PS3.3 C.11.2.1.2.1
  const low = center - 0.5 - (span - 1) / 2;
  const high = center - 0.5 + (span - 1) / 2;
  for (let at = 0; at < data.length; at++) {
    const value = values[at] as number;
    const grey =
      value <= low ? 0 : value > high ? 255 : Math.round(((value - (center - 0.5)) / (span - 1) + 0.5) * 255);
    data[at] = invert ? 255 - grey : grey;
  }
  return encode({ width, height, data, channels: 1, depth: 8 });
}

function rescaled(pixels: Uint8Array, format: ImagePixelFormat, dataset: DicomDataset): Float64Array {
  const { rows, columns, bitsAllocated, bitsStored, pixelRepresentation } = format;
  const slope = dataset.number(tags.RescaleSlope) ?? 1;
  const intercept = dataset.number(tags.RescaleIntercept) ?? 0;
  const view = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const values = new Float64Array(rows * columns);
  const unused = 32 - Math.min(bitsStored, 32);
  for (let at = 0; at < values.length; at++) {
    let raw: number;
    if (bitsAllocated === 1) raw = ((pixels[at >> 3] as number) >> (at & 7)) & 1;
    else if (bitsAllocated === 8) raw = view.getUint8(at);
    else if (bitsAllocated === 16) raw = view.getUint16(at * 2, true);
    else if (bitsAllocated === 32) raw = view.getUint32(at * 4, true);
    else throw notAcceptable(`Pictures of ${bitsAllocated}-bit images are not drawn.`);
    raw = pixelRepresentation === 1 ? (raw << unused) >> unused : (raw << unused) >>> unused;
    values[at] = raw * slope + intercept;
  }
  return values;
}

function ownWindow(dataset: DicomDataset): RenderWindow | undefined {
  const center = dataset.number(tags.WindowCenter);
  const width = dataset.number(tags.WindowWidth);
  return center === undefined || width === undefined || width < 1 ? undefined : { center, width };
}

function fullWindow(values: Float64Array): RenderWindow {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const width = Math.max(high - low + 1, 2);
  return { center: low + width / 2, width };
}
