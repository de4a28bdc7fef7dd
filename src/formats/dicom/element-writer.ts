import { EndpointError } from '../../errors.ts';
import { DicomDataset, type DicomElement, type ElementValue, type Tag } from './dataset.ts';
import { formatDs } from './decimal-string.ts';
import { tags } from './tags.ts';
import { tagText } from './unprocessable.ts';

/** Explicit VRs with a 4-byte length (PS3.5 §7.1.2). */
const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const binaryVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const numberBytes: Readonly<Record<string, number>> = { US: 2, SS: 2, UL: 4, SL: 4, FL: 4, FD: 8, SV: 8, UV: 8, AT: 4 };

const ITEM = 0xfffee000;

const fault = (tag: Tag, what: string): EndpointError =>
  new EndpointError('internal', `The DICOM element ${tagText(tag)} ${what}.`);

/**
 * Writes data sets as explicit VR little-endian (PS3.5 annex A.2), text as UTF-8, sequences and items with their
 * lengths. Elements of nested SpecificCharacterSet are left out, since one declaration stands for all, unless they are
 * to be kept.
 */
export class ElementWriter {
  readonly #keepCharacterSets: boolean;
  #bytes = new Uint8Array(64 * 1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor({ keepCharacterSets = false } = {}) {
    this.#keepCharacterSets = keepCharacterSets;
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far: a view, valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Writes all elements in ascending order of their tags. */
  writeDataset(dataset: DicomDataset, nested = false): void {
    for (const [tag, element] of dataset.entries()) {
      if (nested && tag === tags.SpecificCharacterSet && !this.#keepCharacterSets) continue;
      this.writeElement(tag, element);
    }
  }

  writeElement(tag: Tag, element: DicomElement): void {
    const { vr } = element;
    if (!/^[A-Z]{2}$/.test(vr)) throw fault(tag, `has the VR "${vr}", which cannot be written`);
    this.#tag(tag);
    this.#reserve(8);
    this.#bytes[this.#length++] = vr.charCodeAt(0);
    this.#bytes[this.#length++] = vr.charCodeAt(1);
    const isLong = longVrs.has(vr);
    this.#length += isLong ? 6 : 2;
    const start = this.#length;
    this.#value(tag, element);
    const size = this.#length - start;
    if (isLong) {
      this.#view.setUint32(start - 4, size, true);
    } else {
      if (size <= 0xffff) this.#view.setUint16(start - 2, size, true);
      else this.#asUnknown(start, size);
    }
  }

  /** What came in implicit VR may be longer than its VR can say in explicit: it is written as UN (PS3.5 §6.2.2). */
  #asUnknown(start: number, size: number): void {
    this.#reserve(4);
    this.#bytes.copyWithin(start + 4, start, start + size);
    this.#length += 4;
    this.#bytes.set([0x55, 0x4e, 0, 0], start - 4);
    this.#view.setUint32(start, size, true);
  }

  writeBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length + 1);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  #tag(tag: Tag): void {
    this.#reserve(4);
    this.#view.setUint16(this.#length, tag >>> 16, true);
    this.#view.setUint16(this.#length + 2, tag & 0xffff, true);
    this.#length += 4;
  }

  #pad(byte: number): void {
    if (this.#length % 2 === 0) return;
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #value(tag: Tag, { vr, values }: DicomElement): void {
    if (vr === 'SQ') {
      for (const item of values) this.#item(tag, item);
    } else if (binaryVrs.has(vr)) {
      for (const value of values) {
        if (!(value instanceof Uint8Array)) throw fault(tag, `of VR ${vr} holds something else than bytes`);
        this.writeBytes(value);
      }
      this.#pad(0);
    } else if (numberBytes[vr] !== undefined) {
      for (const value of values) this.#number(tag, vr, value);
    } else {
      this.writeBytes(Buffer.from(values.map((value) => this.#text(tag, vr, value)).join('\\'), 'utf8'));
      this.#pad(vr === 'UI' ? 0 : 0x20);
    }
  }

  #item(tag: Tag, item: ElementValue): void {
    if (!(item instanceof DicomDataset)) throw fault(tag, 'of VR SQ holds something else than items');
    this.#tag(ITEM);
    this.#reserve(4);
    this.#length += 4;
    const start = this.#length;
    this.writeDataset(item, true);
    this.#view.setUint32(start - 4, this.#length - start, true);
  }

  #text(tag: Tag, vr: string, value: ElementValue): string {
    if (value instanceof Uint8Array || value instanceof DicomDataset) throw fault(tag, `of VR ${vr} holds no text`);
    return vr === 'DS' && typeof value === 'number' ? formatDs(value) : String(value);
  }

  #number(tag: Tag, vr: string, value: ElementValue): void {
    const isBig = vr === 'SV' || vr === 'UV';
    if (isBig ? typeof value !== 'bigint' && typeof value !== 'number' : typeof value !== 'number') {
      throw fault(tag, `of VR ${vr} holds no number`);
    }
    const size = numberBytes[vr] as number;
    this.#reserve(size);
    const at = this.#length;
    const view = this.#view;
    const number = Number(value);
    switch (vr) {
      case 'US':
        view.setUint16(at, number, true);
        break;
      case 'SS':
        view.setInt16(at, number, true);
        break;
      case 'UL':
        view.setUint32(at, number, true);
        break;
      case 'SL':
        view.setInt32(at, number, true);
        break;
      case 'FL':
        view.setFloat32(at, number, true);
        break;
      case 'FD':
        view.setFloat64(at, number, true);
        break;
      case 'SV':
        view.setBigInt64(at, BigInt(value as bigint), true);
        break;
      case 'UV':
        view.setBigUint64(at, BigInt(value as bigint), true);
        break;
      default: // AT
        view.setUint16(at, number >>> 16, true);
        view.setUint16(at + 2, number & 0xffff, true);
    }
    this.#length += size;
  }
}
