import type { ComputePool } from '../../compute/pool.ts';
import { defineTask } from '../../compute/task.ts';
import { type FrameDecodeInput, useDecodedFrame } from './frame-decoder.ts';
import type { ImagePixelFormat } from './image-pixel.ts';
import { unprocessable } from './unprocessable.ts';

/** Element types a volume may be assembled in. */
export type VolumeElementType = 'int16' | 'uint16' | 'float32';

/** "Frame n → slice n of one shared volume": where the decoded and rescaled pixels of a one-sample frame go. */
export interface DecodeIntoVolumeInput {
  readonly frame: FrameDecodeInput;
  /** The whole volume; shared, so it isn't copied to the thread. */
  readonly volume: SharedArrayBuffer;
  /** Where the slice starts: `k * rows * columns * bytes of the element type`. */
  readonly byteOffset: number;
  readonly elementType: VolumeElementType;
  /** Value = stored value × slope + intercept (PS3.3 C.11.1), computed in double precision. */
  readonly slope: number;
  readonly intercept: number;
}

const limits = { int16: [-32_768, 32_767], uint16: [0, 65_535] } as const;

/** Typed view of decoded pixels. */
function storedValues(pixels: Uint8Array, { bitsAllocated, pixelRepresentation }: ImagePixelFormat) {
  const { buffer, byteOffset, length } =
    pixels.byteOffset % (bitsAllocated / 8) === 0 ? pixels : new Uint8Array(pixels);
  const signed = pixelRepresentation === 1;
  switch (bitsAllocated) {
    case 8:
      return signed ? new Int8Array(buffer, byteOffset, length) : new Uint8Array(buffer, byteOffset, length);
    case 16:
      return signed ? new Int16Array(buffer, byteOffset, length / 2) : new Uint16Array(buffer, byteOffset, length / 2);
    case 32:
      return signed ? new Int32Array(buffer, byteOffset, length / 4) : new Uint32Array(buffer, byteOffset, length / 4);
    default:
      throw unprocessable(`Frames of ${bitsAllocated} bits a pixel cannot become a volume.`);
  }
}

function sliceOf({ volume, byteOffset, elementType, frame }: DecodeIntoVolumeInput) {
  const length = frame.rows * frame.columns;
  switch (elementType) {
    case 'int16':
      return new Int16Array(volume, byteOffset, length);
    case 'uint16':
      return new Uint16Array(volume, byteOffset, length);
    case 'float32':
      return new Float32Array(volume, byteOffset, length);
  }
}

/** Decodes one frame into its slice of a shared volume. Runs on a compute thread: see {@link decodeFrameIntoVolume}. */
export async function decodeIntoVolume(input: DecodeIntoVolumeInput): Promise<void> {
  if (input.frame.samplesPerPixel !== 1) throw unprocessable('Colour frames cannot become a volume.');
  return useDecodedFrame(input.frame, (pixels) =>
    rescaleInto(sliceOf(input), storedValues(pixels, input.frame), input),
  );
}

type StoredValues = ReturnType<typeof storedValues>;
type Slice = ReturnType<typeof sliceOf>;

function rescaleInto(out: Slice, stored: StoredValues, input: DecodeIntoVolumeInput): void {
  const { frame, elementType, slope, intercept } = input;
  // What lies above BitsStored is no part of the value (old objects keep overlays there).
  const unused = frame.bitsAllocated === frame.bitsStored ? 0 : 32 - frame.bitsStored;
  const signed = frame.pixelRepresentation === 1;
  if (elementType !== 'float32' && !alwaysFits(input)) {
    const { min, max } = rangeOf(stored, unused, signed);
    const [low, high] = limits[elementType];
    const ends = [min * slope + intercept, max * slope + intercept];
    const exact = Number.isInteger(slope) && Number.isInteger(intercept);
    if (!exact || Math.min(...ends) < low || Math.max(...ends) > high) {
      throw unprocessable(`Rescaled pixels do not fit in ${elementType}.`);
    }
  }
  if (unused === 0 && slope === 1 && intercept === 0) {
    out.set(stored);
    return;
  }
  // One loop for each way to read a value: a choice within it would double its time.
  const { length } = out;
  if (unused === 0) {
    for (let at = 0; at < length; at++) out[at] = (stored[at] as number) * slope + intercept;
  } else if (signed) {
    for (let at = 0; at < length; at++) out[at] = (((stored[at] as number) << unused) >> unused) * slope + intercept;
  } else {
    for (let at = 0; at < length; at++) out[at] = (((stored[at] as number) << unused) >>> unused) * slope + intercept;
  }
}

function storedValue(stored: number, unused: number, signed: boolean): number {
  if (unused === 0) return stored;
  return signed ? (stored << unused) >> unused : (stored << unused) >>> unused;
}

/** True when no stored value of the frame's precision can leave the element type: then no value needs a look. */
function alwaysFits({ frame, elementType, slope, intercept }: DecodeIntoVolumeInput): boolean {
  if (elementType === 'float32' || !Number.isInteger(slope) || !Number.isInteger(intercept)) return false;
  const span = 2 ** frame.bitsStored;
  const least = frame.pixelRepresentation === 1 ? -span / 2 : 0;
  const ends = [least * slope + intercept, (least + span - 1) * slope + intercept];
  const [low, high] = limits[elementType];
  return Math.min(...ends) >= low && Math.max(...ends) <= high;
}

function rangeOf(stored: StoredValues, unused: number, signed: boolean): { min: number; max: number } {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < stored.length; at++) {
    const value = storedValue(stored[at] as number, unused, signed);
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}

/** The task for a {@link ComputePool}. Use {@link runDecodeIntoVolume}, which also keeps the message small. */
export const decodeFrameIntoVolume = defineTask<DecodeIntoVolumeInput, void>(
  import.meta.url,
  './decode-task.ts',
  'decodeIntoVolume',
);

/**
 * Decodes one frame into its slice on a thread of the pool. A frame that is a view of a whole file is copied out
 * first: sending a view to a thread sends all of the buffer behind it.
 */
export async function runDecodeIntoVolume(
  pool: ComputePool,
  input: DecodeIntoVolumeInput,
  signal?: AbortSignal,
): Promise<void> {
  const { bytes } = input.frame;
  const isWhole = bytes.byteLength === bytes.buffer.byteLength || bytes.buffer instanceof SharedArrayBuffer;
  const frame = isWhole ? input.frame : { ...input.frame, bytes: new Uint8Array(bytes) };
  return pool.run(decodeFrameIntoVolume, { ...input, frame }, signal);
}
