import { channelStart, isDense, type StridedImage } from '../../imaging/strided-image.ts';
import { voxelCount } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import { type CountKeysInput, type KeyCounts, keyedValue } from './order-statistics-task.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<CountKeysInput, KeyCounts>(import.meta.url, './order-statistics-task.ts', 'countKeysSlab');

/**
 * Percentiles (0 to 100) over some channels together, interpolated between the two nearest values as numpy's `linear`
 * method does; exact, by two counting passes.
 */
export async function percentiles(
  image: StridedImage,
  channels: readonly number[],
  percents: readonly number[],
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<number[]> {
  if (!isDense(image)) throw new RangeError('Percentiles need channels without gaps.');
  const count = voxelCount(image.shape) * channels.length;
  const positions = percents.map((percent) => (percent / 100) * (count - 1));
  const ranks = positions.flatMap((position) => [Math.floor(position), Math.min(Math.floor(position) + 1, count - 1)]);
  const values = await valuesAtRanks(image, channels, ranks, pool, signal);
  return positions.map((position, n) => {
    const low = values[n * 2] as number;
    const high = values[n * 2 + 1] as number;
    const t = position - Math.floor(position);
    const step = Math.fround(high - low);
    return Math.fround(t >= 0.5 ? high - step * (1 - t) : low + step * t);
  });
}

/** The values that would stand at these ranks (from 0) if the voxels were sorted. */
async function valuesAtRanks(
  image: StridedImage,
  channels: readonly number[],
  ranks: readonly number[],
  pool: ComputePool,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const count = async (uppers?: readonly number[]): Promise<Uint32Array[]> => {
    const sums = (uppers ?? [0]).map(() => new Uint32Array(65536));
    for (const channel of channels) {
      const input = { data: image.data as Float32Array, start: channelStart(image, channel), uppers };
      for (const part of await runInSlabs(pool, task, voxelCount(image.shape), input, signal)) {
        for (const [n, histogram] of part.entries()) addTo(sums[n] as Uint32Array, histogram);
      }
    }
    return sums;
  };
  const [coarse] = (await count()) as [Uint32Array];
  const found = ranks.map((rank) => binOfRank(coarse, rank));
  const uppers = [...new Set(found.map(({ bin }) => bin))];
  const fine = await count(uppers);
  return found.map(({ bin, rest }) => {
    const lower = binOfRank(fine[uppers.indexOf(bin)] as Uint32Array, rest);
    return keyedValue(((bin << 16) | lower.bin) >>> 0);
  });
}

function addTo(sum: Uint32Array, part: Uint32Array): void {
  for (let n = 0; n < sum.length; n++) sum[n] = (sum[n] as number) + (part[n] as number);
}

function binOfRank(histogram: Uint32Array, rank: number): { bin: number; rest: number } {
  let rest = rank;
  for (let bin = 0; bin < histogram.length; bin++) {
    const here = histogram[bin] as number;
    if (rest < here) return { bin, rest };
    rest -= here;
  }
  throw new RangeError('The rank is beyond the number of voxels.');
}
