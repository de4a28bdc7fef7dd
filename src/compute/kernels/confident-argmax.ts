import { channelStart, isDense, memoryOrderOf, type StridedImage } from '../../imaging/strided-image.ts';
import { voxelCount } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { ConfidentArgmaxInput, ConfidentInput } from './confident-labels-task.ts';
import { resampleArgmax } from './resample.ts';
import { type GridSamples, rowAxesFor } from './resample-rows.ts';
import { sharedImage } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';

const module = './confident-labels-task.ts';
const confidentTask = defineTask<ConfidentInput, number>(import.meta.url, module, 'confidentSlab');
const argmaxTask = defineTask<ConfidentArgmaxInput, void>(import.meta.url, module, 'confidentArgmaxSlab');

/** With more borders than this (label changes a voxel), interpolating every voxel is the faster way. */
const mostChanges = 0.05;

/**
 * As {@link resampleArgmax}, several times faster where the labels have insides: there, nothing is interpolated.
 * Equal to it but for values that differ by less than float32's rounding.
 */
export async function resampleConfidentArgmax(
  source: StridedImage<Float32Array>,
  target: StridedImage<Uint8Array | Uint16Array>,
  samples: GridSamples,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const type = source.channels < 255 ? 'uint8' : 'uint16';
  const unsure = type === 'uint8' ? 255 : 65_535;
  if (!isDense(source) || !samples.every(keepsWeight)) return resampleArgmax(source, target, samples, pool, signal);
  const labels = sharedImage(type, 1, source.shape, memoryOrderOf(source));
  const starts = Array.from({ length: source.channels }, (_, channel) => channelStart(source, channel));
  const input = { data: source.data, starts, target: labels.data, targetStart: channelStart(labels, 0), unsure };
  const changes = await runInSlabs(pool, confidentTask, voxelCount(source.shape), input, signal);
  if (changes.reduce((sum, count) => sum + count, 0) > mostChanges * voxelCount(source.shape))
    return resampleArgmax(source, target, samples, pool, signal);
  const axes = rowAxesFor(source, target);
  const all = { source, labels, target, samples, axes, unsure };
  await runInSlabs(pool, argmaxTask, target.shape[axes.outer], all, signal);
}

/** True when no sample fades out beyond the edge. */
const keepsWeight = ({ weight0, weight1 }: GridSamples[number]): boolean =>
  weight0.every((weight, n) => Math.abs(weight + (weight1[n] as number) - 1) < 1e-9);
