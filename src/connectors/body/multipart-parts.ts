import { open } from 'node:fs/promises';
import { EndpointError } from '../../errors.ts';
import type { ImageFile } from '../image-files.ts';

const maxParts = 20_000;
const maxHeaderBytes = 16 * 1024;
const chunkBytes = 1024 * 1024;

function malformed(reason: string): EndpointError {
  return new EndpointError('invalid_request', `The multipart body is malformed: ${reason}.`);
}

/**
 * Finds the parts of a spooled `multipart/related; type="application/dicom"` body (RFC 2387, PS3.18 §8.6.1.2.1) as
 * ranges of its file: nothing is copied.
 *
 * @throws EndpointError `invalid_request`, `unsupported_media_type` (a part that is no DICOM), `payload_too_large`
 */
export async function findMultipartParts(path: string, boundary: string): Promise<ImageFile[]> {
  if (boundary === '' || boundary.length > 70) throw malformed('its boundary is missing or too long');
  const marks = await findMarks(path, Buffer.from(`--${boundary}`));
  const handle = await open(path, 'r');
  try {
    const files: ImageFile[] = [];
    for (let index = 0; index + 1 < marks.length; index++) {
      const start = (marks[index] as Mark).end;
      const end = (marks[index + 1] as Mark).start;
      const head = Buffer.alloc(Math.min(maxHeaderBytes, end - start));
      await handle.read(head, 0, head.length, start);
      const { type, length } = readHeader(head);
      if (type !== undefined && type !== 'application/dicom') {
        throw new EndpointError('unsupported_media_type', 'A part of the multipart body is not application/dicom.');
      }
      files.push({ path, name: `part-${index + 1}`, start: start + length, end });
    }
    return files;
  } finally {
    await handle.close();
  }
}

/** A delimiter line: from its CRLF in front to behind its CRLF. */
interface Mark {
  readonly start: number;
  readonly end: number;
}

async function findMarks(path: string, delimiter: Buffer): Promise<Mark[]> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const marks: Mark[] = [];
    // Chunks overlap by more than a delimiter line, so that none is cut.
    const overlap = delimiter.length + 256;
    const chunk = Buffer.alloc(chunkBytes + overlap);
    for (let base = 0; base < size; base += chunkBytes) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, base);
      const bytes = chunk.subarray(0, bytesRead);
      for (let at = bytes.indexOf(delimiter); at >= 0 && at < chunkBytes; at = bytes.indexOf(delimiter, at + 1)) {
        const start = base + at;
        const atLineStart =
          start === 0 || (at >= 2 ? bytes[at - 2] === 13 && bytes[at - 1] === 10 : await isLineStart(handle, start));
        if (!atLineStart) continue;
        const behind = bytes.subarray(at + delimiter.length);
        if (behind[0] === 45 && behind[1] === 45) {
          marks.push({ start: Math.max(0, start - 2), end: start });
          if (marks.length < 2) throw malformed('it holds no part');
          return marks;
        }
        const line = /^[ \t]*\r\n/.exec(behind.subarray(0, 200).toString('latin1'));
        if (!line) continue;
        marks.push({ start: Math.max(0, start - 2), end: start + delimiter.length + line[0].length });
        if (marks.length > maxParts)
          throw new EndpointError('payload_too_large', `The body has more than ${maxParts} parts.`);
      }
    }
    throw malformed('its closing boundary is missing, so it may be cut');
  } finally {
    await handle.close();
  }
}

async function isLineStart(
  handle: { read(b: Buffer, o: number, l: number, p: number): Promise<unknown> },
  at: number,
): Promise<boolean> {
  const two = Buffer.alloc(2);
  await handle.read(two, 0, 2, at - 2);
  return two[0] === 13 && two[1] === 10;
}

function readHeader(head: Buffer): { type: string | undefined; length: number } {
  if (head[0] === 13 && head[1] === 10) return { type: undefined, length: 2 };
  const end = head.indexOf('\r\n\r\n');
  if (end < 0) throw malformed('a part has no header, or one of more than 16 KiB');
  const type = /^content-type:[ \t]*([^;\r\n]+)/im.exec(head.subarray(0, end).toString('latin1'))?.[1];
  return { type: type?.trim().toLowerCase(), length: end + 4 };
}
