/**
 * Binary frames on the socket between a pipeline process and a session child.
 *
 * A frame is a prefix of 16 bytes (magic, header length as u32, payload length as f64, all little endian), a header in
 * JSON, and the tensors' bytes one after another. A tensor is received straight into memory of its own, so that
 * it is aligned for its type and never copied again.
 */
import type { ErrorBody } from '../errors.ts';
import { arrayOf, elementBytes, type Tensor, type TensorType } from '../imaging/tensor.ts';

/** Tensors by the ONNX file's names. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** One window to run. */
export interface WindowRequest {
  readonly grantId: number;
  readonly sessionId: string;
}

/** What became of it; the tensors are the frame's payload. */
export type WindowAnswer = { readonly ok: true } | { readonly ok: false; readonly error: ErrorBody };

interface TensorHead {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly number[];
}

/** A received frame. */
export interface Frame<H> {
  readonly head: H;
  readonly tensors: Record<string, Tensor>;
}

/** The other side does not speak this protocol, or exceeds its limits: the connection is of no use any more. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

const magic = 0x3157_454d; // "MEW1"
const prefixBytes = 16;
const maxHeaderBytes = 1024 * 1024;
/** Most bytes of tensors in a frame. */
const maxPayloadBytes = 4 * 1024 ** 3;
/** Small reads go through a buffer of this size; the rest of a big tensor is read in its place. */
const stagingBytes = 64 * 1024;

/** The parts of a frame in writing order; tensors are given as views, not copied. */
export function encodeFrame<H extends object>(head: H, tensors: Tensors): Uint8Array[] {
  const heads: TensorHead[] = [];
  const payloads: Uint8Array[] = [];
  let payloadBytes = 0;
  for (const [name, { type, dims, data }] of Object.entries(tensors)) {
    if (data.byteLength !== tensorBytes(type, dims)) {
      throw new FrameError(`Tensor "${name}": ${data.byteLength} bytes do not fill [${dims.join(', ')}] of ${type}.`);
    }
    heads.push({ name, type, dims });
    payloads.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    payloadBytes += data.byteLength;
  }
  if (payloadBytes > maxPayloadBytes) throw new FrameError('The tensors of one window exceed 4 GiB.');
  const json = Buffer.from(JSON.stringify({ head, tensors: heads }), 'utf8');
  if (json.length > maxHeaderBytes) throw new FrameError('The header of a frame exceeds its limit.');
  const start = Buffer.allocUnsafe(prefixBytes + json.length);
  start.writeUInt32LE(magic, 0);
  start.writeUInt32LE(json.length, 4);
  start.writeDoubleLE(payloadBytes, 8);
  json.copy(start, prefixBytes);
  return [start, ...payloads.filter((payload) => payload.length > 0)];
}

function tensorBytes(type: TensorType, dims: readonly number[]): number {
  const size = elementBytes[type];
  if (size === undefined || !Array.isArray(dims) || dims.length > 32) throw new FrameError('A tensor is malformed.');
  let bytes = size;
  for (const dim of dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw new FrameError('A tensor has a malformed shape.');
    bytes *= dim;
  }
  if (bytes > maxPayloadBytes) throw new FrameError('A tensor exceeds 4 GiB.');
  return bytes;
}

interface Receiving {
  readonly head: unknown;
  readonly tensors: Record<string, Tensor>;
  /** Byte views of the tensors, in order. */
  readonly targets: readonly Uint8Array[];
}

/**
 * Cuts a byte stream into frames. Either `feed` it chunks, or let the socket read into `target()` and tell how much
 * arrived with `filled(n)`.
 */
export class FrameReader<H extends object> {
  readonly #onFrame: (frame: Frame<H>) => void;
  readonly #recycle: boolean;
  readonly #memoryFor: ((bytes: number) => Uint8Array<ArrayBufferLike> | undefined) | undefined;
  readonly #staging = Buffer.allocUnsafeSlow(stagingBytes);
  #pending: Buffer = Buffer.alloc(0);
  #receiving: Receiving | undefined;
  #tensorIndex = 0;
  #tensorFilled = 0;
  #kept: Uint8Array[] = [];

  /**
   * @param recycle - reuse the memory of the last frame's tensors for the next one's of equal sizes: for a reader that
   *   is done with a frame before it reads the next
   * @param memory - gives memory of exactly so many bytes for a tensor, or undefined to have some made
   */
  constructor(
    onFrame: (frame: Frame<H>) => void,
    options: {
      readonly recycle?: boolean;
      readonly memory?: (bytes: number) => Uint8Array<ArrayBufferLike> | undefined;
    } = {},
  ) {
    this.#onFrame = onFrame;
    this.#recycle = options.recycle ?? false;
    this.#memoryFor = options.memory;
  }

  /** Where the next bytes belong. */
  target(): Uint8Array {
    const tensor = this.#receiving?.targets[this.#tensorIndex];
    const rest = tensor?.subarray(this.#tensorFilled);
    return rest && rest.length >= stagingBytes ? rest : this.#staging;
  }

  /** `length` bytes were written to the last `target()`. */
  filled(length: number): void {
    if (this.target() === this.#staging) this.feed(this.#staging.subarray(0, length));
    else this.#advance(length);
  }

  /** @throws FrameError when the bytes are no frame of this protocol */
  feed(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      const tensor = this.#receiving?.targets[this.#tensorIndex];
      if (tensor) {
        const part = rest.subarray(0, tensor.length - this.#tensorFilled);
        tensor.set(part, this.#tensorFilled);
        rest = rest.subarray(part.length);
        this.#advance(part.length);
      } else {
        rest = this.#feedHeader(rest);
      }
    }
  }

  #feedHeader(chunk: Uint8Array): Uint8Array {
    const bytes = this.#pending.length === 0 ? asBuffer(chunk) : Buffer.concat([this.#pending, chunk]);
    if (bytes.length < prefixBytes) return this.#keep(bytes);
    if (bytes.readUInt32LE(0) !== magic) throw new FrameError('The bytes on the socket are no window frame.');
    const headerBytes = bytes.readUInt32LE(4);
    if (headerBytes > maxHeaderBytes) throw new FrameError('The header of a frame exceeds its limit.');
    const end = prefixBytes + headerBytes;
    if (bytes.length < end) return this.#keep(bytes);
    this.#pending = Buffer.alloc(0);
    this.#begin(bytes.toString('utf8', prefixBytes, end), bytes.readDoubleLE(8));
    return bytes.subarray(end);
  }

  #keep(bytes: Buffer): Uint8Array {
    this.#pending = Buffer.from(bytes);
    return bytes.subarray(bytes.length);
  }

  #begin(json: string, payloadBytes: number): void {
    const { head, tensors: heads } = parseHeader(json);
    const sizes = heads.map(({ type, dims }) => tensorBytes(type, dims));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total !== payloadBytes || total > maxPayloadBytes) {
      throw new FrameError('The payload of a frame has another length than its tensors.');
    }
    const memory = sizes.map((size, index) => this.#memory(size, index));
    if (this.#recycle) this.#kept = memory;
    const tensors: Record<string, Tensor> = {};
    heads.forEach(({ name, type, dims }, index) => {
      const bytes = memory[index] as Uint8Array<ArrayBuffer>;
      const data = new arrayOf[type](bytes.buffer, bytes.byteOffset, bytes.byteLength / elementBytes[type]);
      Object.defineProperty(tensors, name, { value: { type, dims, data }, enumerable: true });
    });
    this.#receiving = { head, tensors, targets: memory };
    this.#tensorIndex = 0;
    this.#tensorFilled = 0;
    this.#skipFull();
  }

  #memory(size: number, index: number): Uint8Array {
    const kept = this.#kept[index] ?? this.#memoryFor?.(size);
    return kept?.length === size ? kept : Buffer.allocUnsafeSlow(size);
  }

  #advance(length: number): void {
    this.#tensorFilled += length;
    this.#skipFull();
  }

  /** Moves on from tensors that are complete; hands the frame over after the last. */
  #skipFull(): void {
    const receiving = this.#receiving as Receiving;
    while (this.#tensorFilled === receiving.targets[this.#tensorIndex]?.length) {
      this.#tensorIndex++;
      this.#tensorFilled = 0;
    }
    if (this.#tensorIndex < receiving.targets.length) return;
    this.#receiving = undefined;
    this.#onFrame({ head: receiving.head as H, tensors: receiving.tensors });
  }
}

function parseHeader(json: string): { head: unknown; tensors: readonly TensorHead[] } {
  let parsed: { head?: unknown; tensors?: unknown };
  try {
    parsed = JSON.parse(json) as typeof parsed;
  } catch {
    throw new FrameError('The header of a frame is no JSON.');
  }
  if (typeof parsed?.head !== 'object' || parsed.head === null || !Array.isArray(parsed.tensors)) {
    throw new FrameError('The header of a frame is malformed.');
  }
  const tensors = parsed.tensors as TensorHead[];
  if (new Set(tensors.map(({ name }) => name)).size < tensors.length) {
    throw new FrameError('A frame names a tensor twice.');
  }
  return { head: parsed.head, tensors };
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
