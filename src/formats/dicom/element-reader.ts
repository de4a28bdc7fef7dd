import { textDecoding } from './charset.ts';
import { DicomDataset, type DicomElement, type Tag } from './dataset.ts';
import { resolveVr, vrOf } from './dictionary.ts';
import { decodeElement, type ValueContext } from './element-values.ts';
import { tags } from './tags.ts';
import { tagText, unprocessable } from './unprocessable.ts';

/** Where the pixel data of an object lies in its bytes. */
export interface PixelDataLocation {
  readonly vr: string;
  /** Range of the native pixels, or of everything behind the element's header up to the sequence delimiter. */
  readonly start: number;
  readonly end: number;
  readonly encapsulated: boolean;
}

export interface ElementEncoding {
  readonly explicit: boolean;
  readonly littleEndian: boolean;
}

const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const UNDEFINED_LENGTH = 0xffffffff;

/** Deeper nesting than any object has: a guard for the stack. */
const MAX_DEPTH = 64;
/** Far more elements than any object has: a guard for memory, since each one costs about 100 bytes. */
const MAX_ELEMENTS = 4_000_000;

/** Explicit VRs with a 4-byte length (PS3.5 §7.1.2). */
const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);

const isVr = (first: number, second: number): boolean =>
  first >= 0x41 && first <= 0x5a && second >= 0x41 && second <= 0x5a;

/** What items inherit from the data set around them. */
interface Surroundings {
  readonly encoding: ElementEncoding;
  readonly context: ValueContext;
  readonly pixelRepresentation: number | undefined;
  readonly depth: number;
}

interface Header {
  readonly tag: Tag;
  readonly vr: string | undefined;
  readonly length: number;
}

/**
 * Reads elements (PS3.5 §7) from bytes in one pass, without copying binary values. Every length is checked against
 * what is really there: a cut or hostile object throws, it never gives half a data set.
 */
export class ElementReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position: number;
  #elementCount = 0;
  #pixelData: PixelDataLocation | undefined;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  /** Location of PixelData (7FE0,0010) of the outermost data set, once that is read. */
  get pixelData(): PixelDataLocation | undefined {
    return this.#pixelData;
  }

  /** Reads the file meta group (PS3.10 §7.1): always explicit little-endian, up to the first other group. */
  readMeta(): DicomDataset {
    const surroundings: Surroundings = {
      encoding: { explicit: true, littleEndian: true },
      context: { littleEndian: true, decodeText: textDecoding([]), keepPadding: false },
      pixelRepresentation: undefined,
      depth: 0,
    };
    const meta = new DicomDataset();
    while (this.#remaining() >= 8 && this.#view.getUint16(this.#position, true) === 0x0002) {
      const header = this.#header(surroundings.encoding);
      const element = this.#value(header, surroundings, this.#bytes.length);
      meta.set(header.tag, element.vr, ...element.values);
    }
    return meta;
  }

  /** Reads the data set from here to the end of the bytes. */
  readDataset(encoding: ElementEncoding, keepPadding: boolean): DicomDataset {
    return this.#dataset(this.#bytes.length, {
      encoding,
      context: { littleEndian: encoding.littleEndian, decodeText: textDecoding([]), keepPadding },
      pixelRepresentation: undefined,
      depth: 0,
    });
  }

  #remaining(): number {
    return this.#bytes.length - this.#position;
  }

  #tag(littleEndian: boolean): Tag {
    return (
      this.#view.getUint16(this.#position, littleEndian) * 0x10000 +
      this.#view.getUint16(this.#position + 2, littleEndian)
    );
  }

  #need(count: number, limit: number): void {
    if (this.#position + count > limit) {
      throw unprocessable(`The DICOM object is cut short: an element ends beyond its container at byte ${limit}.`);
    }
  }

  #header(encoding: ElementEncoding): Header {
    this.#need(8, this.#bytes.length);
    const { littleEndian } = encoding;
    const tag = this.#tag(littleEndian);
    const at = this.#position + 4;
    if (!encoding.explicit || tag === ITEM || tag === ITEM_END || tag === SEQUENCE_END) {
      this.#position += 8;
      return { tag, vr: undefined, length: this.#view.getUint32(at, littleEndian) };
    }
    const first = this.#bytes[at] as number;
    const second = this.#bytes[at + 1] as number;
    if (!isVr(first, second)) {
      throw unprocessable(`The element ${tagText(tag)} at byte ${this.#position} of the DICOM object has no valid VR.`);
    }
    const vr = String.fromCharCode(first, second);
    if (!longVrs.has(vr)) {
      this.#position += 8;
      return { tag, vr, length: this.#view.getUint16(at + 2, littleEndian) };
    }
    this.#need(12, this.#bytes.length);
    this.#position += 12;
    return { tag, vr, length: this.#view.getUint32(at + 4, littleEndian) };
  }

  /** One data set up to `limit`, or up to its item delimiter where that comes first (`untilDelimiter`). */
  #dataset(limit: number, around: Surroundings, untilDelimiter = false): DicomDataset {
    if (around.depth > MAX_DEPTH) throw unprocessable(`The DICOM object nests sequences deeper than ${MAX_DEPTH}.`);
    const dataset = new DicomDataset();
    let surroundings = this.#sniffed(limit, around);
    while (this.#position < limit) {
      if (limit - this.#position < 8 && around.depth === 0 && this.#onlyPaddingLeft()) break;
      this.#need(8, limit);
      const header = this.#header(surroundings.encoding);
      if (header.tag === ITEM_END) {
        if (untilDelimiter) return dataset;
        continue; // A delimiter in an item of known length says nothing.
      }
      const element = this.#value(header, surroundings, limit);
      if (header.tag === tags.PixelData && around.depth === 0) continue;
      dataset.set(header.tag, element.vr, ...element.values);
      surroundings = adopt(surroundings, header.tag, element);
    }
    if (untilDelimiter) throw unprocessable('The DICOM object is cut short inside a sequence item.');
    return dataset;
  }

  #onlyPaddingLeft(): boolean {
    const isPadding = this.#bytes.subarray(this.#position).every((byte) => byte === 0);
    if (isPadding) this.#position = this.#bytes.length;
    return isPadding;
  }

  /** Some writers put implicit VR under an explicit syntax, or the other way round: the first element tells. */
  #sniffed(limit: number, around: Surroundings): Surroundings {
    if (limit - this.#position < 8 || !around.encoding.littleEndian) return around;
    const tag = this.#tag(true);
    if (tag === ITEM_END || tag === SEQUENCE_END) return around;
    const at = this.#position + 4;
    const explicit = isVr(this.#bytes[at] as number, this.#bytes[at + 1] as number);
    if (explicit === around.encoding.explicit) return around;
    // Two capital letters may also be the low half of an implicit length of 16,705 and more: believe only what fits.
    if (explicit && this.#position + 8 + this.#view.getUint32(at, true) <= limit) return around;
    return { ...around, encoding: { ...around.encoding, explicit } };
  }

  #value(header: Header, around: Surroundings, limit: number): DicomElement {
    if (++this.#elementCount > MAX_ELEMENTS) {
      throw unprocessable(`The DICOM object has more than ${MAX_ELEMENTS} elements.`);
    }
    const { tag, length } = header;
    const vr = header.vr ?? resolveVr(vrOf(tag) ?? 'UN', around.pixelRepresentation);
    if (length === UNDEFINED_LENGTH) {
      if (tag === tags.PixelData && (vr === 'OB' || vr === 'OW' || vr === 'UN'))
        return this.#encapsulated(tag, vr, around);
      // UN of undefined length is a sequence in implicit VR, whatever is around it (PS3.5 §6.2.2).
      const encoding = header.vr === 'UN' ? { explicit: false, littleEndian: true } : around.encoding;
      if (vr !== 'SQ' && vr !== 'UN') return this.#encapsulated(tag, vr, around);
      return { vr: 'SQ', values: this.#items(limit, true, { ...around, encoding }) };
    }
    const end = this.#position + length;
    if (end > limit) {
      throw unprocessable(
        `The element ${tagText(tag)} of the DICOM object claims ${length} bytes, but ${limit - this.#position} are left.`,
      );
    }
    if (vr === 'SQ') return { vr, values: this.#items(end, false, around) };
    if (tag === tags.PixelData && around.depth === 0) {
      this.#pixelData = { vr, start: this.#position, end, encapsulated: false };
      this.#position = end;
      return { vr, values: [] };
    }
    const bytes = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return decodeElement(vr, bytes, around.context);
  }

  #items(limit: number, untilDelimiter: boolean, around: Surroundings): DicomDataset[] {
    const items: DicomDataset[] = [];
    const { littleEndian } = around.encoding;
    while (this.#position < limit) {
      this.#need(8, limit);
      const tag = this.#tag(littleEndian);
      const length = this.#view.getUint32(this.#position + 4, littleEndian);
      this.#position += 8;
      if (tag === SEQUENCE_END) {
        if (untilDelimiter) return items;
        continue;
      }
      if (tag !== ITEM)
        throw unprocessable(`A sequence of the DICOM object holds ${tagText(tag)} in place of an item.`);
      const inner = { ...around, depth: around.depth + 1 };
      if (length === UNDEFINED_LENGTH) {
        items.push(this.#dataset(limit, inner, true));
      } else {
        const end = this.#position + length;
        if (end > limit) throw unprocessable('The DICOM object is cut short inside a sequence item.');
        items.push(this.#dataset(end, inner));
      }
    }
    if (untilDelimiter) throw unprocessable('The DICOM object is cut short inside a sequence.');
    return items;
  }

  /** Steps over encapsulated data (PS3.5 A.4): items of known length up to the sequence delimiter. */
  #encapsulated(tag: Tag, vr: string, around: Surroundings): DicomElement {
    const { littleEndian } = around.encoding;
    const start = this.#position;
    for (;;) {
      if (this.#remaining() < 8) throw unprocessable('The encapsulated pixel data of the DICOM object are cut short.');
      const itemTag = this.#tag(littleEndian);
      const length = this.#view.getUint32(this.#position + 4, littleEndian);
      if (itemTag === SEQUENCE_END) break;
      if (itemTag !== ITEM || length > this.#remaining() - 8) {
        throw unprocessable(`The encapsulated pixel data of the DICOM object are damaged at byte ${this.#position}.`);
      }
      this.#position += 8 + length;
    }
    const end = this.#position;
    this.#position += 8;
    if (tag === tags.PixelData && around.depth === 0) {
      this.#pixelData = { vr, start, end, encapsulated: true };
      return { vr, values: [] };
    }
    return { vr, values: [this.#bytes.subarray(start, end)] };
  }
}

/** Elements that say how the ones after them are to be read. */
function adopt(around: Surroundings, tag: Tag, element: DicomElement): Surroundings {
  if (tag === tags.SpecificCharacterSet) {
    const terms = element.values.map((value) => String(value).trim());
    return { ...around, context: { ...around.context, decodeText: textDecoding(terms) } };
  }
  if (tag === tags.PixelRepresentation && typeof element.values[0] === 'number') {
    return { ...around, pixelRepresentation: element.values[0] };
  }
  return around;
}
