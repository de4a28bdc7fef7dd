/**
 * Prints what our reader makes of DICOM files, for `test_reader.py`: file names on stdin, a JSON line each on stdout with
 * every element (binary values as their length and SHA-1) and the SHA-1 of every decoded frame, or the refusal.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { DicomDataset, ElementValue } from '../../src/formats/dicom/dataset.ts';
import { decodeFrame } from '../../src/formats/dicom/frame-decoder.ts';
import { imagePixelFormat } from '../../src/formats/dicom/image-pixel.ts';
import { type Part10File, readPart10 } from '../../src/formats/dicom/part10-reader.ts';

const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

function plain(value: ElementValue): unknown {
  if (value instanceof Uint8Array) return { bytes: `${value.length}:${sha1(value)}` };
  if (typeof value === 'object') return dump(value);
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function dump(dataset: DicomDataset): Record<string, unknown[]> {
  return Object.fromEntries(
    dataset.entries().map(([tag, { vr, values }]) => [tag.toString(16).padStart(8, '0'), [vr, ...values.map(plain)]]),
  );
}

async function frames(file: Part10File): Promise<string[]> {
  if (file.numberOfFrames === 0) return [];
  const format = imagePixelFormat(file.dataset);
  const hashes: string[] = [];
  for (let index = 0; index < file.numberOfFrames; index++) {
    const bytes = file.frame(index);
    hashes.push(sha1(await decodeFrame({ ...format, bytes, transferSyntaxUid: file.transferSyntaxUid })));
  }
  return hashes;
}

for (const path of readFileSync(0, 'utf8').trim().split('\n')) {
  const line: Record<string, unknown> = { path };
  try {
    const file = readPart10(readFileSync(path));
    line.elements = dump(file.dataset);
    line.transferSyntaxUid = file.transferSyntaxUid;
    line.frames = await frames(file);
  } catch (thrown) {
    line.refused = thrown instanceof Error ? thrown.message : String(thrown);
  }
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
