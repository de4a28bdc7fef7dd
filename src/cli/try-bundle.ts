import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MapJson } from '../api/map-json.ts';
import { onnxFile } from '../archive/layout.ts';
import { ThreadPool } from '../compute/pool.ts';
import { EndpointError } from '../errors.ts';
import type { Network } from '../imaging/network.ts';
import { arrayOf, elementBytes, type Tensor, type TensorInfo, type TensorType } from '../imaging/tensor.ts';
import { type Volume, voxelCount } from '../imaging/volume.ts';
import { createLogger } from '../logger.ts';
import { compileBundle } from '../monai/bundle/compile-bundle.ts';
import type { CompiledBundle } from '../monai/bundle/compiled-bundle.ts';
import type { BundleMetadata } from '../monai/bundle/metadata.ts';
import { SessionNetworks } from '../sessions/session-client.ts';
import { SessionPool } from '../sessions/session-pool.ts';
import { type DerivedMap, deriveMap, type ResultForm } from './derived-map.ts';
import { checkAgainstMetadata } from './network-check.ts';

/** An image that segments are made of, or what is told of the image as a whole. */
export type TriedResult = ResultForm | 'boxes' | 'classes';

/** What a trial of a bundle has shown. */
export interface BundleTrial {
  /** N, C and the axes of space of the window that the network was given. */
  readonly windowShape: readonly number[];
  /** Shape of its answer. */
  readonly answerShape: readonly number[];
  readonly elapsedMs: number;
  /** What the bundle's transforms make of an answer; undefined: they could not be tried on a made-up image. */
  readonly result: TriedResult | undefined;
  /** What is odd and does no harm. */
  readonly notes: readonly string[];
  /** `map.json` as far as it can be derived. */
  readonly map: DerivedMap | undefined;
}

/** Axes of which neither the bundle nor the ONNX file tells the size; a multiple of what networks halve. */
const anySize = 64;

/**
 * Tries a bundle: loads its network in a session child, runs it on one window of noise, holds both against the
 * metadata, and runs the transforms on a small image of noise.
 *
 * @throws EndpointError `unsupported_bundle`, `model_failed`
 */
export async function tryBundle(dir: string, map: MapJson, metadata: BundleMetadata): Promise<BundleTrial> {
  const bundle = await compileBundle(dir, map.io);
  const { signal } = new AbortController();
  const dataDir = await mkdtemp(join(tmpdir(), 'map-endpoint-trial-'));
  const pool = await SessionPool.start({
    dataDir,
    workers: 1,
    providers: ['cpu'],
    environment: {},
    logger: createLogger('trial', 'silent'),
  });
  const networks = new SessionNetworks(pool);
  try {
    const { signature } = await pool.load(dir, join(dir, onnxFile), signal);
    bundle.checkNetwork(signature);
    const ends = bundle.endsOf(signature);
    const window = noise(ends.input.type, shapeOf(ends.input, bundle.windowShape, metadata));
    const from = performance.now();
    const answer = await networks.networkOf(dir, signature, 1).run({ [ends.input.name]: window }, signal);
    const elapsedMs = performance.now() - from;
    const outputs = ends.outputs.map(({ name }) => {
      const output = answer[name];
      if (!output) throw failed(`gives no output "${name}"`);
      if (hasNaN(output)) throw failed('gives values that are not numbers (NaN)');
      return output;
    });
    const [output] = outputs as [Tensor];
    const one = { input: ends.input, output: ends.outputs[0] as TensorInfo };
    // Of a detector's outputs the metadata tell nothing that could be compared; compiling has looked at their channels.
    const notes = bundle.detects ? [] : checkAgainstMetadata(metadata, signature, one, answer);
    const stand = standIn(ends, window, outputs);
    const result = await resultOf(bundle, { ...signature, concurrency: 1, run: stand }, notes);
    return {
      windowShape: window.dims,
      answerShape: output.dims,
      elapsedMs,
      result,
      notes,
      map: typeof result === 'object' ? deriveMap(metadata, result) : undefined,
    };
  } finally {
    networks.close();
    await pool.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function shapeOf(input: TensorInfo, windowShape: readonly number[] | undefined, metadata: BundleMetadata): number[] {
  const told = metadata.inputs.find(({ key }) => key === input.name) ?? metadata.inputs[0];
  const rank = input.dims.length > 2 ? input.dims.length - 2 : (windowShape?.length ?? told?.spatialShape?.length ?? 3);
  const sizes = windowShape?.length === rank ? windowShape : told?.spatialShape;
  const pick = (declared: number | string | undefined, otherwise: number | string | undefined): number =>
    [declared, otherwise].find((size): size is number => typeof size === 'number' && size > 0) ?? anySize;
  const spatial = Array.from({ length: rank }, (_, axis) => pick(input.dims[axis + 2], sizes?.[axis]));
  const batch = input.dims[0];
  return [typeof batch === 'number' && batch > 0 ? batch : 1, pick(input.dims[1], told?.channels ?? 1), ...spatial];
}

/** Noise that is the same each time: 0 to 1 in floats, halves as their bits. */
function noise(type: TensorType, dims: readonly number[]): Tensor {
  const length = dims.reduce((product, size) => product * size, 1);
  const data = new arrayOf[type](new ArrayBuffer(length * elementBytes[type]), 0, length) as Float32Array;
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = type === 'float16' ? 0x3000 + ((state >>> 16) % 0x0c00) : state / 2 ** 32;
  }
  return { type, dims, data };
}

/** A network that answers in the channels of the real one, at once and for any window; a coarser answer stays as coarse. */
function standIn(
  ends: { readonly outputs: readonly TensorInfo[]; readonly input: TensorInfo },
  window: Tensor,
  outputs: readonly Tensor[],
): Network['run'] {
  return async (inputs) => {
    const given = (inputs[ends.input.name] as Tensor).dims;
    const answers = outputs.map(({ dims, type }, n) => {
      const isImage = dims.length === given.length;
      const spatial = given
        .slice(2)
        .map((size, axis) => Math.max(1, Math.round((size * (dims[axis + 2] ?? 1)) / (window.dims[axis + 2] ?? 1))));
      const shape = isImage ? [given[0] ?? 1, dims[1] ?? 1, ...spatial] : [given[0] ?? 1, ...dims.slice(1)];
      return [(ends.outputs[n] as TensorInfo).name, noise(type, shape)] as const;
    });
    return Object.fromEntries(answers);
  };
}

/** Runs the transforms on a small image of noise, to see what they make of an answer. */
async function resultOf(bundle: CompiledBundle, network: Network, notes: string[]): Promise<TriedResult | undefined> {
  const pool = new ThreadPool(1);
  try {
    const { signal } = new AbortController();
    const isPicture = bundle.takesPictures(network);
    const first = noisyVolume(isPicture);
    const planes = Array.from({ length: isPicture ? bundle.imagesPerRun : 1 }, () => first);
    const result = await bundle.infer(first, {
      images: [{ name: '', volume: first, channels: planes }],
      network,
      pool,
      signal,
      progress: () => {},
    });
    if (result.kind === 'detections') return 'boxes';
    const { channels, fromArgmax, shape } = result;
    return voxelCount(shape) === 1 ? 'classes' : { channels: channels.length, fromArgmax };
  } catch (thrown) {
    if (!(thrown instanceof EndpointError)) throw thrown;
    notes.push(`the transforms could not be tried on a made-up image: ${thrown.message}`);
    return undefined;
  } finally {
    await pool.close();
  }
}

function noisyVolume(isPicture: boolean): Volume {
  const shape = [24, 24, isPicture ? 1 : 24] as const;
  const values = noise('float32', shape).data as Float32Array;
  const data = Int16Array.from(values, (value) => Math.round(value * 1500 - 1000));
  return { data, shape, affineRas: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], isPlane: isPicture };
}

function hasNaN({ type, data }: Tensor): boolean {
  if (type === 'float16') return (data as Uint16Array).some((bits) => (bits & 0x7fff) > 0x7c00);
  return data instanceof Float32Array && data.some((value) => Number.isNaN(value));
}

const failed = (why: string): EndpointError =>
  new EndpointError('unsupported_bundle', `On a window of noise ${onnxFile} ${why}.`, { details: { file: onnxFile } });
