/**
 * Fields of a protobuf message in memory, and writing of new ones (protobuf.dev/programming-guides/encoding): what a
 * rewriting of a model needs, whose other fields are passed on byte for byte.
 */

/** One field as it stands in its message. */
export interface ProtobufField {
  readonly number: number;
  /** The number of a varint field; 0 for others. What exceeds 2⁵³ is not exact. */
  readonly value: number;
  /** The payload: of a length-delimited field without its length, of others as written. */
  readonly bytes: Uint8Array;
  /** Tag and payload. */
  readonly raw: Uint8Array;
}

/** @throws RangeError when the bytes are no message */
export function* protobufFields(message: Uint8Array): Generator<ProtobufField> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1, count = 0; count < 10; scale *= 128, count++) {
      const byte = message[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('A number of the message is cut off or too long.');
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    let from = at;
    let value = 0;
    let length = 0;
    switch (tag % 8) {
      case 0:
        value = varint();
        length = at - from;
        break;
      case 1:
        length = 8;
        break;
      case 2:
        length = varint();
        from = at;
        break;
      case 5:
        length = 4;
        break;
      default:
        throw new RangeError('The message has a field of an unknown kind.');
    }
    at = from + length;
    if (at > message.length) throw new RangeError('A field of the message is cut off.');
    yield { number: Math.floor(tag / 8), value, bytes: message.subarray(from, at), raw: message.subarray(start, at) };
  }
}

/** The numbers of a repeated integer field: packed into one field, or one field each. */
export function protobufIntegers(fields: readonly ProtobufField[], number: number): number[] {
  return fields
    .filter((field) => field.number === number)
    .flatMap((field) => (field.raw[0] === number * 8 ? [field.value] : varintsOf(field.bytes)));
}

function varintsOf(packed: Uint8Array): number[] {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of packed) {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) {
      numbers.push(value);
      value = 0;
      scale = 1;
    }
  }
  return numbers;
}

/** Puts a message together. Numbers are non-negative and field numbers below 2²⁸, as in ONNX. */
export class ProtobufMessage {
  readonly #parts: Uint8Array[] = [];

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  integer(number: number, value: number): this {
    return this.raw(varint(number * 8)).raw(varint(value));
  }

  integers(number: number, values: readonly number[]): this {
    return this.bytes(number, Buffer.concat(values.map(varint)));
  }

  /** A number in single precision. */
  float(number: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return this.raw(varint(number * 8 + 5)).raw(bytes);
  }

  bytes(number: number, bytes: Uint8Array): this {
    return this.raw(varint(number * 8 + 2))
      .raw(varint(bytes.length))
      .raw(bytes);
  }

  text(number: number, text: string): this {
    return this.bytes(number, Buffer.from(text));
  }

  message(number: number, message: ProtobufMessage): this {
    return this.bytes(number, message.finish());
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
