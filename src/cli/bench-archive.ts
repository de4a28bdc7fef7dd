import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InvocationAnswer, TimingsMs } from '../api/invocation.ts';
import { writeNifti } from '../formats/nifti/writer.ts';
import { serveArchive } from './archive-endpoint.ts';
import { UsageError } from './exit-codes.ts';
import { createTerminal, formatTable } from './terminal.ts';

/** What `map-endpoint bench` was told. */
export interface BenchFlags {
  readonly input?: string;
  readonly runs: string;
  readonly json: boolean;
}

const phases = [
  'queue',
  'load',
  'fetch',
  'decode',
  'preprocess',
  'inference',
  'postprocess',
  'write',
  'total',
] as const;

/** `map-endpoint bench`: how long requests to an archive take, the first (which loads it) and warm ones. */
export async function runBench(archive: string, flags: BenchFlags): Promise<void> {
  const runs = Number(flags.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > 1000) throw new UsageError('--runs takes a number from 1 to 1000.');
  const terminal = createTerminal(flags.json);
  const workDir = await mkdtemp(join(tmpdir(), 'map-endpoint-bench-'));
  try {
    const image = flags.input ?? (await madeUpImage(join(workDir, 'noise.nii.gz')));
    terminal.progress('starting an endpoint');
    const endpoint = await serveArchive(archive, image);
    try {
      const times: { readonly wallMs: number; readonly timingsMs: TimingsMs }[] = [];
      let answer: InvocationAnswer | undefined;
      for (let run = 0; run <= runs; run++) {
        terminal.progress(run === 0 ? 'first request' : `request ${run} of ${runs}`);
        const from = performance.now();
        answer = await endpoint.invoke(`bench-${run}`);
        times.push({ wallMs: performance.now() - from, timingsMs: answer.timingsMs });
      }
      const [first, ...warm] = times as [(typeof times)[number], ...typeof times];
      const wall = warm.map(({ wallMs }) => wallMs).sort((a, b) => a - b);
      const phaseMs = Object.fromEntries(
        phases.map((phase) => [phase, rounded(median(warm.map(({ timingsMs }) => timingsMs[phase])))]),
      );
      const figures = {
        image: flags.input ?? 'noise of 128 × 128 × 64 voxels, 1.5 × 1.5 × 2 mm',
        firstMs: rounded(first.wallMs),
        medianMs: rounded(median(wall)),
        minMs: rounded(wall[0] as number),
        maxMs: rounded(wall.at(-1) as number),
        runs,
        phaseMs,
      };
      terminal.json({ model: answer?.model, ...figures });
      terminal.line(`${answer?.model.name} ${answer?.model.version} on ${figures.image}`);
      terminal.line(
        `first request ${figures.firstMs} ms (with the load), then median ${figures.medianMs} ms of ${runs}`,
      );
      terminal.line(`(from ${figures.minMs} to ${figures.maxMs} ms)`);
      const rows = phases.map((phase) => [phase, phaseMs[phase] as number]);
      for (const line of formatTable([['phase', 'median ms'], ...rows])) terminal.line(line);
    } finally {
      await endpoint.stop();
    }
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** A volume of noise around a soft ball: what it shows does not matter to the time. */
async function madeUpImage(path: string): Promise<string> {
  const shape = [128, 128, 64] as const;
  const data = new Int16Array(shape[0] * shape[1] * shape[2]);
  let state = 1;
  for (let k = 0, n = 0; k < shape[2]; k++) {
    for (let j = 0; j < shape[1]; j++) {
      for (let i = 0; i < shape[0]; i++, n++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        const radius = Math.hypot((i - 64) / 50, (j - 64) / 50, (k - 32) / 28);
        data[n] = (radius < 1 ? 60 : -900) + (state >>> 26);
      }
    }
  }
  const affineRas = [1.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1] as const;
  await writeFile(path, await writeNifti({ data, shape, affineRas }));
  return path;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10;
