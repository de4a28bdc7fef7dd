/**
 * A DICOM data set in memory, keyed by tag, the one form that all readers give and all writers take
 * (PS3.5 §7). Text is decoded to Unicode; numbers of binary VRs are numbers; IS and DS stay the strings that were
 * received (their padding trimmed), since reformatting them could change what they say.
 */
export type ElementValue = string | number | bigint | Uint8Array | DicomDataset;

/** One data element. `values` is empty for a zero-length element. Binary VRs (OB, OW, UN, …) hold one `Uint8Array`. */
export interface DicomElement {
  readonly vr: string;
  readonly values: readonly ElementValue[];
}

/** Tag as a number, `0x00100010` for (0010,0010). */
export type Tag = number;

export class DicomDataset {
  readonly #elements: Map<Tag, DicomElement>;

  constructor(elements: Iterable<readonly [Tag, DicomElement]> = []) {
    this.#elements = new Map(elements);
  }

  /** The element, or undefined when absent. */
  get(tag: Tag): DicomElement | undefined {
    return this.#elements.get(tag);
  }

  has(tag: Tag): boolean {
    return this.#elements.has(tag);
  }

  set(tag: Tag, vr: string, ...values: ElementValue[]): this {
    this.#elements.set(tag, { vr, values });
    return this;
  }

  delete(tag: Tag): boolean {
    return this.#elements.delete(tag);
  }

  /** All elements in ascending tag order. */
  entries(): [Tag, DicomElement][] {
    return [...this.#elements].sort(([a], [b]) => a - b);
  }

  get size(): number {
    return this.#elements.size;
  }

  /** First value as trimmed text; undefined when absent or empty. */
  string(tag: Tag): string | undefined {
    const value = this.#elements.get(tag)?.values[0];
    if (value === undefined || value instanceof Uint8Array || value instanceof DicomDataset) return undefined;
    const text = String(value).trim();
    return text === '' ? undefined : text;
  }

  /** All values as trimmed text; empty when absent. */
  strings(tag: Tag): string[] {
    const values = this.#elements.get(tag)?.values ?? [];
    return values
      .filter((value) => !(value instanceof Uint8Array) && !(value instanceof DicomDataset))
      .map((value) => String(value).trim());
  }

  /** First value as a finite number (also from IS and DS text); undefined when absent or not a number. */
  number(tag: Tag): number | undefined {
    return this.numbers(tag)?.[0];
  }

  /** All values as finite numbers; undefined when absent, empty, or when one is not a number. */
  numbers(tag: Tag): number[] | undefined {
    const texts = this.strings(tag);
    if (texts.length === 0) return undefined;
    const numbers = texts.map((text) => (text === '' ? Number.NaN : Number(text)));
    return numbers.every(Number.isFinite) ? numbers : undefined;
  }

  /** Items of a sequence; empty when absent. */
  items(tag: Tag): DicomDataset[] {
    return (this.#elements.get(tag)?.values ?? []).filter((value) => value instanceof DicomDataset);
  }

  /** Raw bytes of a binary element; undefined when absent. */
  bytes(tag: Tag): Uint8Array | undefined {
    const value = this.#elements.get(tag)?.values[0];
    return value instanceof Uint8Array ? value : undefined;
  }
}
