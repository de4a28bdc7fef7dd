import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { JsonProcess } from '../../../bench/json-process.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import { sharedDir } from '../../support/shared-data.ts';

/** A stub network as stub.py writes it. */
export interface StubNetwork {
  readonly path: string;
  readonly dims: 2 | 3;
  readonly in: number;
  readonly out: number;
  readonly kind: 'image' | 'classes';
  readonly names: readonly [input: string, output: string];
}

/** An array of MONAI's: each channel x fastest; a vector of classes has no axes besides its channels. */
export interface JudgedArray {
  readonly channels: readonly Float32Array[];
  readonly shape: readonly number[];
  readonly affine: Affine | undefined;
}

/** MONAI's answer for a bundle and an image. */
export interface Judgement {
  readonly preprocessed: JudgedArray;
  readonly result: JudgedArray;
}

/** What MONAI is asked. Files are paths on this machine. */
export interface Question {
  readonly bundleDir: string;
  readonly files: Readonly<Record<string, string | readonly string[]>>;
  /** Clicks, under the key that the bundle looks for. */
  readonly clicks?: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly input: string;
  readonly result: string;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const sources = [here('judge.py'), here('images.py'), here('stub.py'), here('../requirements.txt')];

/** Asks MONAI in one Python process, and keeps its answers under names of everything that they depend on. */
export class Judge {
  readonly #cache: string;
  readonly #python: string | undefined;
  #process: JsonProcess | undefined;
  #sources: Buffer | undefined;

  /**
   * @param cache - folder of kept answers and images
   * @param python - a Python with test/parity/requirements.txt; undefined: only what is kept can be asked
   */
  constructor(
    cache: string = process.env.MAP_ENDPOINT_GOLDENS ?? join(tmpdir(), 'map-endpoint-goldens'),
    python: string | undefined = process.env.MAP_ENDPOINT_MONAI_PYTHON,
  ) {
    this.#cache = cache;
    this.#python = python;
  }

  /** Folder with the campaign's images. */
  async images(): Promise<string> {
    return await this.#kept('images', [], (dir) => ({ images: dir, shared: sharedDir }));
  }

  /** Writes a stub network as a file of a new bundle. */
  async writeStub({ path, ...network }: StubNetwork): Promise<void> {
    await this.#ask({ stub: path, ...network });
  }

  /**
   * @throws Error with MONAI's own message where MONAI fails
   */
  async judge({ bundleDir, files, clicks, input, result }: Question): Promise<Judgement> {
    const configs = ['inference.json', 'inference.yaml'].map((name) => join(bundleDir, 'configs', name));
    const depends = [...configs.filter(existsSync), join(bundleDir, 'models/model.onnx')];
    const name = JSON.stringify([files, input, result, ...(clicks ? [clicks] : [])])
      .replaceAll(this.#cache, '')
      .replaceAll(sharedDir, '');
    const dir = await this.#kept(
      'answer',
      depends,
      (out) => ({ bundle: bundleDir, data: { ...files, ...clicks }, input, result, out }),
      [name],
    );
    const report = JSON.parse(await readFile(join(dir, 'answer.json'), 'utf8')) as Record<string, ArrayReport>;
    return {
      preprocessed: await readArray(join(dir, 'pre.gz'), report.pre as ArrayReport),
      result: await readArray(join(dir, 'result.gz'), report.result as ArrayReport),
    };
  }

  async close(): Promise<void> {
    await this.#process?.close();
  }

  async #kept(
    what: string,
    files: readonly string[],
    job: (dir: string) => object,
    texts: readonly string[] = [],
  ): Promise<string> {
    this.#sources ??= Buffer.concat(await Promise.all(sources.map((path) => readFile(path))));
    const hash = createHash('sha256').update(this.#sources);
    for (const path of files) hash.update(await readFile(path));
    for (const text of texts) hash.update(text);
    const dir = join(this.#cache, `campaign-${what}-${hash.digest('hex').slice(0, 16)}`);
    if (existsSync(dir)) return dir;
    await mkdir(this.#cache, { recursive: true });
    const work = await mkdtemp(join(this.#cache, 'work-'));
    try {
      await this.#ask(job(work));
      await rename(work, dir);
      return dir;
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  async #ask(job: object): Promise<void> {
    if (!this.#python)
      throw new Error('MAP_ENDPOINT_MONAI_PYTHON must name a Python with test/parity/requirements.txt.');
    this.#process ??= new JsonProcess(this.#python, [here('judge.py')]);
    const { error } = await this.#process.ask(job);
    if (typeof error === 'string') throw new Error(`MONAI fails: ${error}`);
  }
}

interface ArrayReport {
  readonly channels: number;
  readonly shape: readonly number[];
  readonly affine: Affine | null;
}

async function readArray(path: string, { channels, shape, affine }: ArrayReport): Promise<JudgedArray> {
  const bytes = gunzipSync(await readFile(path));
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const length = values.length / channels;
  return {
    channels: Array.from({ length: channels }, (_, c) => values.subarray(c * length, (c + 1) * length)),
    shape,
    affine: affine ?? undefined,
  };
}
