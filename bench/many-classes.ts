/**
 * Peak memory of a pipeline process that makes labels of a network with many classes: a whole-brain segmentation of 133
 * on 256³ voxels, windows of 96³ with an overlap of 0.7. The network is none (its answers cost a copy), so the time is
 * that of the sums, the softmax and the argmax.
 *
 *     npm run build && npx tsx bench/many-classes.ts [CLASSES] [SIZE] [OVERLAP]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ThreadPool } from '../src/compute/pool.ts';
import type { Network } from '../src/imaging/network.ts';
import { compileBundle } from '../src/monai/bundle/compile-bundle.ts';

const [classes = 133, size = 256, overlap = 0.7] = process.argv.slice(2).map(Number);
const dir = mkdtempSync(join(tmpdir(), 'many-classes-'));
mkdirSync(join(dir, 'configs'));
writeFileSync(join(dir, 'configs/metadata.json'), '{"version":"1"}');
const step = (name: string, rest = {}) => ({ _target_: name, keys: 'image', ...rest });
writeFileSync(
  join(dir, 'configs/inference.json'),
  JSON.stringify({
    preprocessing: { _target_: 'Compose', transforms: [step('LoadImaged'), step('EnsureChannelFirstd')] },
    inferer: { _target_: 'SlidingWindowInferer', roi_size: [96, 96, 96], sw_batch_size: 4, overlap },
    postprocessing: {
      _target_: 'Compose',
      transforms: [
        step('Activationsd', { keys: 'pred', softmax: true }),
        step('Invertd', {
          keys: 'pred',
          transform: '@preprocessing',
          orig_keys: 'image',
          nearest_interp: false,
          to_tensor: true,
        }),
        step('AsDiscreted', { keys: 'pred', argmax: true }),
      ],
    },
  }),
);

const windowVoxels = 96 ** 3;
/** Where each class is likely: a template of its own, made once. */
const template = Float32Array.from({ length: windowVoxels }, (_, p) => 5 * Math.sin(p / 3001));
const network: Network = {
  inputs: [{ name: 'x', type: 'float32', dims: [1, 1, 96, 96, 96] }],
  outputs: [{ name: 'y', type: 'float32', dims: [1, classes, 96, 96, 96] }],
  concurrency: 3,
  run: async (_inputs, _signal, room) => {
    await room?.admit();
    const bytes = classes * windowVoxels * 4;
    const memory = room?.memory(bytes) ?? Buffer.allocUnsafeSlow(bytes);
    const data = new Float32Array(memory.buffer, memory.byteOffset, classes * windowVoxels);
    for (let c = 0; c < classes; c++) data.set(template.subarray(c * 997), c * windowVoxels);
    return { y: { type: 'float32', dims: [1, classes, 96, 96, 96], data } };
  },
};
const data = new Int16Array(new SharedArrayBuffer(size ** 3 * 2));
for (let p = 0; p < data.length; p++) data[p] = (p % 1999) - 1000;
const pool = new ThreadPool(2);
const before = process.resourceUsage().maxRSS;
const start = performance.now();
try {
  const bundle = await compileBundle(dir);
  const affineRas = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;
  const result = await bundle.run(
    { data, shape: [size, size, size], affineRas },
    { network, pool, signal: new AbortController().signal, progress: () => {} },
  );
  console.log(
    JSON.stringify({
      classes,
      size,
      overlap,
      seconds: (performance.now() - start) / 1000,
      peakMegabytes: (process.resourceUsage().maxRSS * 1024) / 1e6,
      beforeMegabytes: (before * 1024) / 1e6,
      labels: new Set(result.channels[0]).size,
    }),
  );
} finally {
  await pool.close();
  rmSync(dir, { recursive: true });
}
