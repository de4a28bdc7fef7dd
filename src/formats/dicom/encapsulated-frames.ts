import type { DicomDataset } from './dataset.ts';
import { tags } from './tags.ts';
import { unprocessable } from './unprocessable.ts';

interface Fragment {
  /** Distance of the fragment's item tag from the first one behind the basic offset table. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Splits encapsulated pixel data (PS3.5 A.4) into the basic offset table and its fragments. */
function fragmentsOf(data: Uint8Array): { offsetTable: number[]; fragments: Fragment[] } {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const items: { start: number; bytes: Uint8Array }[] = [];
  for (let at = 0; at + 8 <= data.length; ) {
    const length = view.getUint32(at + 4, true);
    items.push({ start: at, bytes: data.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  const [table, ...rest] = items;
  if (!table) throw unprocessable('The encapsulated pixel data have no basic offset table item.');
  const offsetTable: number[] = [];
  for (let at = 0; at + 4 <= table.bytes.length; at += 4) offsetTable.push(view.getUint32(8 + at, true));
  const base = 8 + table.bytes.length;
  return { offsetTable, fragments: rest.map(({ start, bytes }) => ({ offset: start - base, bytes })) };
}

/** Offsets of the frames by the extended offset table (7FE0,0001), where there is one. */
function extendedOffsets(dataset: DicomDataset): number[] | undefined {
  const raw = dataset.bytes(tags.ExtendedOffsetTable);
  if (!raw || raw.length === 0) return undefined;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  return Array.from({ length: Math.floor(raw.length / 8) }, (_, index) => Number(view.getBigUint64(index * 8, true)));
}

/** A JPEG-family codestream ends with EOI or EOC, both FFD9, perhaps with padding behind it. */
function endsCodestream(bytes: Uint8Array): boolean {
  for (let at = bytes.length - 2; at >= Math.max(0, bytes.length - 10); at--) {
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  }
  return false;
}

/** Index of the first fragment of each frame. */
function firstFragments(fragments: readonly Fragment[], offsets: readonly number[], frames: number): number[] {
  if (offsets.length === frames && frames > 0) {
    const indexOf = new Map(fragments.map(({ offset }, index) => [offset, index]));
    const starts = offsets.map((offset) => indexOf.get(offset) ?? -1);
    const rising = starts.every((start, index) => start >= 0 && (index === 0 || start > (starts[index - 1] as number)));
    if (!rising || starts[0] !== 0)
      throw unprocessable('The offset table of the pixel data points beside its fragments.');
    return starts;
  }
  if (offsets.length > 0 && offsets.length !== frames) {
    throw unprocessable(
      `The offset table of the pixel data lists ${offsets.length} frames, NumberOfFrames is ${frames}.`,
    );
  }
  if (frames === 1) return [0];
  if (fragments.length === frames) return fragments.map((_, index) => index);
  const starts = fragments.flatMap((_, index) =>
    index === 0 || endsCodestream((fragments[index - 1] as Fragment).bytes) ? [index] : [],
  );
  if (starts.length === frames) return starts;
  throw unprocessable(`${fragments.length} fragments of pixel data cannot be shared out to ${frames} frames.`);
}

/**
 * Groups the fragments of encapsulated pixel data into frames: by the extended or basic offset table, else one each,
 * else by the end marks of the codestreams.
 *
 * @param data - everything behind the element's header, up to the sequence delimiter
 * @param ignoreTables - leave the offset tables out
 * @returns a function that gives the encoded bytes of a frame (a view where it is one fragment)
 */
export function encapsulatedFrames(
  data: Uint8Array,
  dataset: DicomDataset,
  numberOfFrames: number,
  ignoreTables = false,
): (index: number) => Uint8Array {
  const { offsetTable, fragments } = fragmentsOf(data);
  if (fragments.length < numberOfFrames) {
    throw unprocessable(`The pixel data hold ${fragments.length} fragments for ${numberOfFrames} frames.`);
  }
  const offsets = ignoreTables ? [] : (extendedOffsets(dataset) ?? offsetTable);
  const starts = firstFragments(fragments, offsets, numberOfFrames);
  return (index) => {
    const own = fragments.slice(starts[index], starts[index + 1] ?? fragments.length).map(({ bytes }) => bytes);
    return own.length === 1 ? (own[0] as Uint8Array) : new Uint8Array(Buffer.concat(own));
  };
}
