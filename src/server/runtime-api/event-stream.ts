import { crc32 } from 'node:zlib';

const stringType = 7;

/**
 * A message of `application/vnd.amazon.eventstream`: lengths, CRC-32 of the lengths, headers, payload, CRC-32 of it all;
 * numbers are big-endian.
 */
export function eventStreamMessage(headers: Readonly<Record<string, string>>, payload: Uint8Array): Buffer {
  const headerBytes = Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => {
      const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
      const valueLength = Buffer.alloc(2);
      valueLength.writeUInt16BE(valueBytes.length);
      return [Buffer.from([nameBytes.length]), nameBytes, Buffer.from([stringType]), valueLength, valueBytes];
    }),
  );
  const message = Buffer.alloc(12 + headerBytes.length + payload.length + 4);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(headerBytes.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  headerBytes.copy(message, 12);
  message.set(payload, 12 + headerBytes.length);
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4);
  return message;
}
