import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { InThreadPool } from '../../src/compute/pool.ts';
import { EndpointError } from '../../src/errors.ts';
import type { MetaImage } from '../../src/monai/meta-image.ts';
import { appliedTo, type ImageArray, madeImage, valuesOf } from '../support/transform-images.ts';
import { type TransformCase, transformCases } from './transform-cases.ts';

// Argument sets for each transform; a campaign asks for 200.
const runs = Number(process.env.MAP_ENDPOINT_TRANSFORM_RUNS ?? 10);
const seed = Number(process.env.MAP_ENDPOINT_TRANSFORM_SEED ?? 20_261_125);
const python = process.env.MAP_ENDPOINT_MONAI_PYTHON;
const script = fileURLToPath(new URL('./monai_transforms.py', import.meta.url));

interface EncodedImage {
  readonly shape: readonly number[];
  readonly data: string;
  readonly affine: readonly number[];
}
type Answer = { readonly images: Readonly<Record<string, EncodedImage>> } | { readonly error: string };

const drawn = Object.entries(transformCases).map(([name, arbitrary]) => ({
  name,
  cases: fc.sample(arbitrary, { numRuns: runs, seed }),
}));

async function askMonai(cases: readonly TransformCase[]): Promise<Answer[]> {
  const dir = await mkdtemp(join(tmpdir(), 'monai-transforms-'));
  try {
    const [asked, answered] = [join(dir, 'cases.json'), join(dir, 'answers.json')];
    const encoded = cases.map((one) => ({
      ...one,
      images: Object.fromEntries(Object.entries(one.images).map(([key, spec]) => [key, encode(madeImage(spec))])),
    }));
    await writeFile(asked, JSON.stringify(encoded));
    await promisify(execFile)(python as string, [script, asked, answered], { timeout: 1_500_000 });
    return JSON.parse(await readFile(answered, 'utf8')) as Answer[];
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const encode = ({ shape, data, affine }: ImageArray): EncodedImage => ({
  shape,
  data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
  affine,
});
const floats = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);

/** What is different from MONAI's answer, in words; empty when nothing is. */
function difference(key: string, image: MetaImage | undefined, expected: EncodedImage): string {
  if (!image) return `${key} is missing`;
  const dims = expected.shape.length - 1;
  const shape = [image.voxels.channels, ...image.voxels.shape.slice(0, dims)];
  if (shape.join() !== expected.shape.join()) return `${key}: shape ${shape} instead of ${expected.shape}`;
  const values = valuesOf(image);
  const reference = floats(expected.data);
  let largest = 1;
  for (const value of reference) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  for (const [n, value] of reference.entries()) {
    const own = values[n] as number;
    if (Object.is(own, value) || own === value) continue;
    if (!(Math.abs(own - value) <= 4e-6 * largest)) return `${key}: ${own} instead of ${value} at ${n} of ${shape}`;
  }
  if (dims === 3) {
    const affine: readonly number[] = image.affineRas;
    const worst = Math.max(...expected.affine.map((value, n) => Math.abs(value - (affine[n] as number))));
    if (!(worst < 1e-6)) return `${key}: affine ${image.affineRas} instead of ${expected.affine}`;
  }
  return '';
}

/**
 * Which of several components of one size is kept, MONAI leaves to numpy's sort, which gives no order to equals and sorts
 * otherwise on other processors: as many voxels are kept, and none is changed.
 */
function isTie(one: TransformCase, image: MetaImage | undefined, expected: EncodedImage | undefined): boolean {
  const [first] = one.transforms;
  const spec = one.images.image;
  if (first?._target_ !== 'KeepLargestConnectedComponentd' || !image || !expected || !spec) return false;
  const [own, theirs, before] = [valuesOf(image), floats(expected.data), madeImage(spec).data];
  const kept = (values: Float32Array): number => values.filter((value) => value !== 0).length;
  return kept(own) === kept(theirs) && own.every((value, n) => value === 0 || value === before[n]);
}

async function compare(one: TransformCase, answer: Answer): Promise<string> {
  let data: ReadonlyMap<string, MetaImage>;
  try {
    const images = Object.fromEntries(Object.entries(one.images).map(([key, spec]) => [key, madeImage(spec)]));
    data = await appliedTo(one.transforms, images, { pool: new InThreadPool(), invert: one.invert });
  } catch (thrown) {
    if (!(thrown instanceof EndpointError)) throw thrown;
    return 'error' in answer || answer.images.image?.shape.includes(0) === true ? '' : `refused: ${thrown.message}`;
  }
  if ('error' in answer) return `MONAI fails: ${answer.error}`;
  if (data.size !== Object.keys(answer.images).length)
    return `keys ${[...data.keys()]} instead of ${Object.keys(answer.images)}`;
  if (isTie(one, data.get('image'), answer.images.image)) return '';
  return Object.entries(answer.images)
    .map(([key, expected]) => difference(key, data.get(key), expected))
    .filter((text) => text !== '')
    .join('; ');
}

describe.skipIf(!python)(`transforms equal MONAI’s for ${runs} random argument sets each`, () => {
  let answers: Answer[] = [];
  beforeAll(async () => {
    answers = await askMonai(drawn.flatMap(({ cases }) => cases));
  }, 1_600_000);

  it.each(drawn)('$name', async ({ name, cases }) => {
    const first = drawn
      .slice(
        0,
        drawn.findIndex((other) => other.name === name),
      )
      .reduce((n, { cases: c }) => n + c.length, 0);
    const failures: string[] = [];
    let answered = 0;
    for (const [n, one] of cases.entries()) {
      const answer = answers[first + n] as Answer;
      if (!('error' in answer)) answered++;
      const text = await compare(one, answer);
      if (text !== '') failures.push(`${JSON.stringify(one)}\n  ${text}`);
    }
    expect(failures.slice(0, 3)).toEqual([]);
    expect(answered).toBeGreaterThan(cases.length / 2);
  });
});
