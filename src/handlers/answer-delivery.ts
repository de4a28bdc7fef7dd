import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import type { InvocationAnswer } from '../api/invocation.ts';
import { EndpointError } from '../errors.ts';
import type { OutputFile } from '../pipeline/imaging-job.ts';
import type { HandlerResult } from './contract.ts';

/** How a client wants the files of an answer that has no output URI. */
type Delivery = 'json' | 'zip' | 'multipart';

const zipDate = new Date('1980-01-01T00:00:00Z');

/** The form that an `Accept` header asks for: the first of its types that we give; JSON when it takes anything. */
export function deliveryOf(accept: string | undefined): Delivery {
  const types = (accept ?? '*/*').split(',').map((part) => (part.split(';')[0] as string).trim().toLowerCase());
  for (const type of types) {
    if (type === 'application/zip') return 'zip';
    if (type === 'multipart/related') return 'multipart';
    if (type === 'application/json' || type === 'application/*' || type === '*/*' || type === '') return 'json';
  }
  throw new EndpointError(
    'invalid_request',
    'Accept must allow application/json, application/zip or multipart/related.',
  );
}

/**
 * Builds the body of an answer: the JSON alone when its files were written elsewhere, else with the files, as base64
 * in the JSON, as a zip (`result.json` first) or as multipart/related (PS3.18 §8.6.1.2.1).
 *
 * @throws EndpointError `payload_too_large`, naming `output`
 */
export async function deliverAnswer(
  answer: InvocationAnswer,
  files: readonly OutputFile[],
  options: { readonly delivery: Delivery; readonly maxBytes: number; readonly scratchDir: string },
): Promise<HandlerResult> {
  const sizeBytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
  const json = (value: InvocationAnswer): Uint8Array => Buffer.from(JSON.stringify(value));
  const common = { timingsMs: answer.timingsMs };
  if (files.length === 0) return { body: json(answer), contentType: 'application/json', ...common };
  const wireBytes = options.delivery === 'json' ? Math.ceil(sizeBytes / 3) * 4 : sizeBytes;
  if (wireBytes > options.maxBytes) {
    const message = `The results have ${wireBytes} bytes, more than an answer may carry (${options.maxBytes}). Give "output": {"uri": …} and they are written there.`;
    throw new EndpointError('payload_too_large', message);
  }
  await mkdir(options.scratchDir, { recursive: true, mode: 0o700 });
  const bodyPath = join(options.scratchDir, 'answer');
  if (options.delivery === 'zip') {
    await writeZip(bodyPath, [{ fileName: 'result.json', bytes: json(answer) }, ...files]);
    return { bodyPath, contentType: 'application/zip', ...common };
  }
  if (options.delivery === 'multipart') {
    const parts = [{ bytes: json(answer), contentType: 'application/json' }, ...files];
    const boundary = randomUUID();
    return {
      body: multipart(parts, boundary),
      contentType: `multipart/related; type="application/json"; boundary=${boundary}`,
      ...common,
    };
  }
  const outputs = answer.outputs.map((output, index) => ({
    ...output,
    base64: Buffer.from((files[index] as OutputFile).bytes).toString('base64'),
  }));
  return { body: json({ ...answer, outputs }), contentType: 'application/json', ...common };
}

async function writeZip(path: string, entries: readonly Pick<OutputFile, 'fileName' | 'bytes'>[]): Promise<void> {
  const zip = new ZipFile();
  for (const entry of entries) {
    // A fixed date keeps the same answer the same bytes; what is compressed already is stored.
    const compress = !/\.(gz|png)$/.test(entry.fileName);
    zip.addBuffer(Buffer.from(entry.bytes), entry.fileName, { mtime: zipDate, compress });
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path, { mode: 0o600 }));
}

function multipart(
  parts: readonly { readonly bytes: Uint8Array; readonly contentType: string }[],
  boundary: string,
): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    pieces.push(
      Buffer.from(`--${boundary}\r\nContent-Type: ${part.contentType}\r\nContent-Length: ${part.bytes.length}\r\n\r\n`),
      part.bytes,
      Buffer.from('\r\n'),
    );
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  return Buffer.concat(pieces);
}
