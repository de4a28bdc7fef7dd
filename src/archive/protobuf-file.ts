import type { FileHandle } from 'node:fs/promises';
import { EndpointError, throwIfAborted } from '../errors.ts';

/** What to look at in a message; fields not named here are stepped over unread. */
export interface MessageShape {
  /** Sub-messages by field number. */
  readonly fields: Record<number, MessageShape>;
  /** Strings by field number. */
  readonly texts?: Record<number, (text: string) => void>;
  /** Longest string that is read; a longer one is refused. */
  readonly maxTextBytes?: number;
  readonly onBegin?: () => void;
  readonly onEnd?: () => void;
}

const bufferBytes = 64 * 1024;
/** Nested graphs are the only recursion of ONNX; protobuf's own parsers stop at 100. */
const maxDepth = 100;

/**
 * Walks a protobuf file without loading it: memory and time are bounded, however big or hostile the file is.
 * Wire format: protobuf.dev/programming-guides/encoding.
 */
export class ProtobufFile {
  readonly #file: FileHandle;
  readonly #sizeBytes: number;
  readonly #signal: AbortSignal;
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #fieldsLeft: number;
  #bufferStart = 0;
  #bufferEnd = 0;
  #position = 0;

  constructor(file: FileHandle, sizeBytes: number, maxFields: number, signal: AbortSignal) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#fieldsLeft = maxFields;
    this.#signal = signal;
  }

  /** @throws EndpointError `invalid_archive` when the file is no protobuf message of this shape */
  async walk(shape: MessageShape): Promise<void> {
    await this.#message(shape, this.#sizeBytes, 0);
  }

  async #message(shape: MessageShape, end: number, depth: number): Promise<void> {
    if (depth > maxDepth) throw malformed('it nests too deep');
    shape.onBegin?.();
    while (this.#position < end) {
      if (--this.#fieldsLeft < 0) throw malformed('it has too many fields');
      const tag = await this.#varint(end);
      const field = Math.floor(tag / 8);
      if (field === 0) throw malformed('a field has no number');
      switch (tag % 8) {
        case 0:
          await this.#varint(end);
          break;
        case 1:
          this.#skip(8, end);
          break;
        case 2:
          await this.#lengthDelimited(shape, field, end, depth);
          break;
        case 5:
          this.#skip(4, end);
          break;
        default:
          throw malformed('it has a field of an unknown kind');
      }
    }
    shape.onEnd?.();
  }

  async #lengthDelimited(shape: MessageShape, field: number, end: number, depth: number): Promise<void> {
    const length = await this.#varint(end);
    const fieldEnd = this.#position + length;
    if (fieldEnd > end) throw malformed('it is cut off');
    const message = shape.fields[field];
    const text = shape.texts?.[field];
    if (message) {
      await this.#message(message, fieldEnd, depth + 1);
    } else if (text) {
      if (length > (shape.maxTextBytes ?? 0)) throw malformed('a text in it is too long');
      text(await this.#text(length));
    } else {
      this.#position = fieldEnd;
    }
  }

  #skip(bytes: number, end: number): void {
    this.#position += bytes;
    if (this.#position > end) throw malformed('it is cut off');
  }

  async #text(length: number): Promise<string> {
    await this.#ensure(length);
    const from = this.#position - this.#bufferStart;
    this.#position += length;
    return this.#buffer.toString('utf8', from, from + length);
  }

  /** A varint as a number; what exceeds 2⁵³ loses its low bits, which only makes it a refused length. */
  async #varint(end: number): Promise<number> {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.#position >= end) throw malformed('it is cut off');
      if (this.#position < this.#bufferStart || this.#position >= this.#bufferEnd) await this.#ensure(1);
      const byte = this.#buffer[this.#position - this.#bufferStart] as number;
      this.#position++;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw malformed('a number in it is too long');
  }

  /** Makes sure that `bytes` from the position on are in the buffer. */
  async #ensure(bytes: number): Promise<void> {
    if (this.#position >= this.#bufferStart && this.#position + bytes <= this.#bufferEnd) return;
    throwIfAborted(this.#signal);
    const { bytesRead } = await this.#file.read(this.#buffer, 0, bufferBytes, this.#position);
    if (bytesRead < bytes) throw malformed('it is cut off');
    this.#bufferStart = this.#position;
    this.#bufferEnd = this.#position + bytesRead;
  }
}

function malformed(reason: string): EndpointError {
  return new EndpointError('invalid_archive', `models/model.onnx is no valid ONNX file: ${reason}.`);
}
