import { EndpointError } from '../../errors.ts';
import { channelStart, isDense, type StridedImage } from '../../imaging/strided-image.ts';
import { type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import { runInSlabs } from './slabs.ts';
import type { ArgmaxInput, ChannelsInput, OneHotInput, RescaleInput, ThresholdInput } from './voxelwise-task.ts';

const module = './voxelwise-task.ts';
const rescaleTask = defineTask<RescaleInput, void>(import.meta.url, module, 'rescaleSlab');
const softmaxTask = defineTask<ChannelsInput, void>(import.meta.url, module, 'softmaxSlab');
const sigmoidTask = defineTask<ChannelsInput, void>(import.meta.url, module, 'sigmoidSlab');
const argmaxTask = defineTask<ArgmaxInput, void>(import.meta.url, module, 'argmaxSlab');
const oneHotTask = defineTask<OneHotInput, boolean>(import.meta.url, module, 'oneHotSlab');
const numbersTask = defineTask<ChannelsInput, boolean>(import.meta.url, module, 'numbersSlab');
const roundTask = defineTask<ChannelsInput, void>(import.meta.url, module, 'roundSlab');
const thresholdTask = defineTask<ThresholdInput, void>(import.meta.url, module, 'thresholdSlab');

const startsOf = (image: StridedImage): number[] => {
  if (!isDense(image)) throw new RangeError('A voxel-wise kernel needs channels without gaps.');
  return Array.from({ length: image.channels }, (_, channel) => channelStart(image, channel));
};

/** A linear map of intensities; see {@link RescaleInput}. */
export type IntensityMap = Pick<RescaleInput, 'subtract' | 'divide' | 'scale' | 'clip' | 'keepZeros'>;

/** Maps one channel's intensities; `target` has the source's layout and may be the source itself. */
export async function rescaleChannel(
  source: StridedImage<VoxelArray>,
  target: StridedImage<Float32Array>,
  channel: number,
  map: IntensityMap,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const input = {
    source: source.data as RescaleInput['source'],
    sourceStart: startsOf(source)[channel] as number,
    target: target.data,
    targetStart: startsOf(target)[channel] as number,
    ...map,
  };
  await runInSlabs(pool, rescaleTask, voxelCount(source.shape), input, signal);
}

/** Softmax over the channels, in place. */
export async function softmaxInPlace(image: StridedImage<Float32Array>, pool: ComputePool, signal?: AbortSignal) {
  const input = { data: image.data, starts: startsOf(image) };
  await runInSlabs(pool, softmaxTask, voxelCount(image.shape), input, signal);
}

/** Logistic function of every voxel, in place. */
export async function sigmoidInPlace(image: StridedImage<Float32Array>, pool: ComputePool, signal?: AbortSignal) {
  const input = { data: image.data, starts: startsOf(image) };
  await runInSlabs(pool, sigmoidTask, voxelCount(image.shape), input, signal);
}

/** Number of the largest channel into `target`, which has the same layout and one channel. */
export async function argmaxInto(
  image: StridedImage<Float32Array>,
  target: StridedImage<Uint8Array | Uint16Array>,
  ofSoftmax: boolean,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const starts = { starts: startsOf(image), targetStart: startsOf(target)[0] as number };
  const input = { data: image.data, target: target.data, ofSoftmax, ...starts };
  await runInSlabs(pool, argmaxTask, voxelCount(image.shape), input, signal);
}

/** 1 where a voxel is at least the threshold; `target` has the same layout and channels. */
export async function thresholdInto(
  image: StridedImage<VoxelArray>,
  target: StridedImage<Uint8Array>,
  threshold: number,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const starts = { starts: startsOf(image), targetStarts: startsOf(target) };
  const input = { data: image.data as ThresholdInput['data'], target: target.data, threshold, ...starts };
  await runInSlabs(pool, thresholdTask, voxelCount(image.shape), input, signal);
}

/**
 * Channel c of `target` becomes 1 where the one channel of `image` is c; same layout.
 *
 * @throws EndpointError `model_failed` when a value has no channel
 */
export async function oneHotInto(
  image: StridedImage<VoxelArray>,
  target: StridedImage<Uint8Array>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const starts = { start: startsOf(image)[0] as number, targetStarts: startsOf(target) };
  const input = { data: image.data as OneHotInput['data'], target: target.data, ...starts };
  const known = await runInSlabs(pool, oneHotTask, voxelCount(image.shape), input, signal);
  if (known.includes(false))
    throw new EndpointError('model_failed', `A voxel has a label outside 0…${target.channels - 1}.`);
}

/** Rounds every voxel to a whole number, halves to even, in place. */
export async function roundInPlace(image: StridedImage<Float32Array>, pool: ComputePool, signal?: AbortSignal) {
  const input = { data: image.data, starts: startsOf(image) };
  await runInSlabs(pool, roundTask, voxelCount(image.shape), input, signal);
}

/** Whether all voxels are numbers. */
export async function onlyNumbers(image: StridedImage<Float32Array>, pool: ComputePool, signal?: AbortSignal) {
  const input = { data: image.data, starts: startsOf(image) };
  return (await runInSlabs(pool, numbersTask, voxelCount(image.shape), input, signal)).every(Boolean);
}
