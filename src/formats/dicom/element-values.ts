import type { TextDecoding } from './charset.ts';
import type { DicomElement, ElementValue } from './dataset.ts';

/** Text VRs that hold several values between backslashes; the others (LT, ST, UT, UR) hold one. */
const multiText = new Set(['AE', 'AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'LO', 'PN', 'SH', 'TM', 'UC', 'UI']);
const singleText = new Set(['LT', 'ST', 'UT', 'UR']);
/** VRs whose text is in the character set of the data set; the others are ASCII (PS3.5 §6.1.2.3). */
const charsetText = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT']);

const numberBytes: Readonly<Record<string, number>> = { US: 2, SS: 2, UL: 4, SL: 4, FL: 4, FD: 8, SV: 8, UV: 8, AT: 4 };
/** Bytes of one word of a binary VR, for swapping. */
const wordBytes: Readonly<Record<string, number>> = { OW: 2, OF: 4, OL: 4, OD: 8, OV: 8 };

/** How the bytes of a data set are to be understood. */
export interface ValueContext {
  readonly littleEndian: boolean;
  readonly decodeText: TextDecoding;
  /** Keep the trailing blanks of IS and DS, as HealthImaging's metadata does. */
  readonly keepPadding: boolean;
}

const asciiText: TextDecoding = (bytes) => Buffer.from(bytes).toString('latin1');

const padding = / *\0*[ \0]*$/;
const trimEnd = (text: string): string => {
  const last = text.charCodeAt(text.length - 1);
  return last === 0x20 || last === 0 ? text.replace(padding, '') : text;
};

function textValues(vr: string, bytes: Uint8Array, context: ValueContext): string[] {
  const decode = charsetText.has(vr) ? context.decodeText : asciiText;
  const text = decode(bytes, vr === 'PN');
  if (!multiText.has(vr)) return [trimEnd(text)];
  if (context.keepPadding && (vr === 'DS' || vr === 'IS')) return text.replace(/\0+$/, '').split('\\');
  return text.split('\\').map(trimEnd);
}

function numberValues(vr: string, size: number, bytes: Uint8Array, littleEndian: boolean): (number | bigint)[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: (number | bigint)[] = [];
  for (let at = 0; at < bytes.length; at += size) values.push(readNumber(vr, view, at, littleEndian));
  return values;
}

function readNumber(vr: string, view: DataView, at: number, littleEndian: boolean): number | bigint {
  switch (vr) {
    case 'US':
      return view.getUint16(at, littleEndian);
    case 'SS':
      return view.getInt16(at, littleEndian);
    case 'UL':
      return view.getUint32(at, littleEndian);
    case 'SL':
      return view.getInt32(at, littleEndian);
    case 'FL':
      return view.getFloat32(at, littleEndian);
    case 'FD':
      return view.getFloat64(at, littleEndian);
    case 'SV':
      return view.getBigInt64(at, littleEndian);
    case 'UV':
      return view.getBigUint64(at, littleEndian);
    default: // AT: two 16-bit words
      return view.getUint16(at, littleEndian) * 0x10000 + view.getUint16(at + 2, littleEndian);
  }
}

/** A copy with the bytes of each word in the other order. */
export function swapWords(bytes: Uint8Array, size: number): Uint8Array {
  const swapped = new Uint8Array(bytes.length);
  for (let at = 0; at + size <= bytes.length; at += size) {
    for (let byte = 0; byte < size; byte++) swapped[at + byte] = bytes[at + size - 1 - byte] as number;
  }
  return swapped;
}

/**
 * Values of one element. Binary values are views of `bytes`, little-endian (a big-endian source is swapped into a
 * copy). Numbers whose length isn't a whole number of values are kept as raw bytes with VR UN: nothing is guessed.
 */
export function decodeElement(vr: string, bytes: Uint8Array, context: ValueContext): DicomElement {
  if (bytes.length === 0) return { vr, values: [] };
  if (multiText.has(vr) || singleText.has(vr)) {
    const values: ElementValue[] = textValues(vr, bytes, context);
    return { vr, values: values.length === 1 && values[0] === '' ? [] : values };
  }
  const size = numberBytes[vr];
  if (size !== undefined) {
    if (bytes.length % size !== 0) return { vr: 'UN', values: [bytes] };
    return { vr, values: numberValues(vr, size, bytes, context.littleEndian) };
  }
  const word = wordBytes[vr];
  return { vr, values: [word && !context.littleEndian ? swapWords(bytes, word) : bytes] };
}
