import { crc32, inflateSync } from 'node:zlib';
import { EndpointError } from '../../errors.ts';
import { identityAffine } from '../../imaging/affine.ts';
import type { Volume } from '../../imaging/volume.ts';
import { unfilter } from './unfilter.ts';

/** Most pixels of an image: a header that declares more is damaged or hostile. */
const maxPixels = 2 ** 26;
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Samples a pixel by colour type: grey, RGB, palette, grey with alpha, RGB with alpha (PNG 11.2.1). */
const samplesOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: 8 | 16;
  readonly samples: number;
  readonly isPalette: boolean;
}

export const isPng = (head: Uint8Array): boolean => signature.every((byte, at) => head[at] === byte);

/**
 * Reads a PNG as one volume a channel, each of one slice: x along the rows, y down, as MONAI's `PILReader` turns it. A
 * palette is resolved to its colours; alpha stays a channel. PNG knows no place in a patient, so the grid is that of the
 * pixels. Nothing is inflated beyond what the header declares.
 *
 * @throws EndpointError `unprocessable_image`: damaged, interlaced, or less than 8 bits a sample
 */
export function readPng(bytes: Uint8Array): Volume[] {
  const { header, palette, data } = readChunks(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const { width, height, depth, samples, isPalette } = header;
  const pixelBytes = (samples * depth) / 8;
  const rowBytes = width * pixelBytes;
  const rows = unfilter(inflated(data, height * (rowBytes + 1)), rowBytes, height, pixelBytes);
  if (!rows) throw refuse('its rows are damaged');
  const channels = isPalette ? 3 : samples;
  return Array.from({ length: channels }, (_, channel): Volume => {
    const pixels = width * height;
    const shape = [width, height, 1] as const;
    if (depth === 16) {
      const plane = new Uint16Array(pixels);
      for (let p = 0; p < pixels; p++) plane[p] = rows.readUInt16BE((p * samples + channel) * 2);
      return { data: plane, shape, affineRas: identityAffine, isPlane: true };
    }
    const plane = new Uint8Array(pixels);
    for (let p = 0; p < pixels; p++)
      plane[p] = isPalette ? colourOf(palette, rows[p] as number, channel) : (rows[p * samples + channel] as number);
    return { data: plane, shape, affineRas: identityAffine, isPlane: true };
  });
}

function readChunks(file: Buffer): { header: Header; palette: Buffer | undefined; data: Buffer } {
  if (!isPng(file)) throw refuse('it has no PNG signature');
  const parts: Buffer[] = [];
  let header: Header | undefined;
  let palette: Buffer | undefined;
  for (let at = signature.length; at + 12 <= file.length; ) {
    const length = file.readUInt32BE(at);
    const end = at + 8 + length;
    if (end + 4 > file.length) break;
    if (crc32(file.subarray(at + 4, end)) !== file.readUInt32BE(end)) throw refuse('a checksum is wrong');
    const type = file.toString('latin1', at + 4, at + 8);
    const content = file.subarray(at + 8, end);
    if (type === 'IHDR') header ??= readHeader(content);
    else if (type === 'PLTE') palette ??= content;
    else if (type === 'IDAT') parts.push(content);
    else if (type === 'IEND' && header) return { header, palette, data: Buffer.concat(parts) };
    at = end + 4;
  }
  throw refuse('it is cut short');
}

function readHeader(content: Buffer): Header {
  if (content.length !== 13) throw refuse('its header is damaged');
  const [width, height] = [content.readUInt32BE(0), content.readUInt32BE(4)];
  const [depth, colour, , , interlace] = content.subarray(8) as unknown as [number, number, number, number, number];
  const samples = samplesOf[colour];
  if (samples === undefined || width === 0 || height === 0) throw refuse('its header is damaged');
  if (width * height > maxPixels) throw refuse(`${width} × ${height} pixels are too many`);
  if (depth !== 8 && !(depth === 16 && colour !== 3)) throw refuse(`${depth} bits a sample are not read, 8 and 16 are`);
  if (interlace !== 0) throw refuse('it is interlaced, which is not read');
  return { width, height, depth, samples, isPalette: colour === 3 };
}

function inflated(data: Buffer, length: number): Buffer {
  let rows: Buffer;
  try {
    rows = inflateSync(data, { maxOutputLength: length });
  } catch (cause) {
    throw refuse('its pixels are damaged, or more than its header tells', cause);
  }
  if (rows.length !== length) throw refuse('it has fewer pixels than its header tells');
  return rows;
}

function colourOf(palette: Buffer | undefined, index: number, channel: number): number {
  const value = palette?.[index * 3 + channel];
  if (value === undefined) throw refuse('a pixel has a colour that its palette has not');
  return value;
}

const refuse = (reason: string, cause?: unknown): EndpointError =>
  new EndpointError('unprocessable_image', `The PNG image cannot be used: ${reason}.`, cause ? { cause } : {});
