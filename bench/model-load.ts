import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLogger } from '../src/logger.ts';
import { SessionPool } from '../src/sessions/session-pool.ts';
import { type BenchResult, timeRow } from './table.ts';

const onnxPath = fileURLToPath(new URL('../samples/spleen_ct_demo/models/model.onnx', import.meta.url));
const never = new AbortController().signal;
const loadsInARow = 20;

/**
 * How long a network takes to load into a session child: onto the ready spare, and twenty in a row, where from the
 * second on the spare is still being started.
 */
export async function modelLoad(rounds: number): Promise<BenchResult> {
  const onSpare: number[] = [];
  const inARow: number[] = [];
  const unloads: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const dataDir = mkdtempSync(join(tmpdir(), 'bench-load-'));
    const logger = createLogger('front', 'error');
    const pool = await SessionPool.start({ dataDir, workers: 2, providers: ['cpu'], environment: {}, logger });
    try {
      await sleep(300); // the spare has come to rest
      onSpare.push(await timed(() => pool.load('first', onnxPath, never)));
      unloads.push(await timed(() => pool.unload('first')));
      await sleep(300);
      for (let i = 0; i < loadsInARow; i++) inARow.push(await timed(() => pool.load(`${i}`, onnxPath, never)));
    } finally {
      await pool.close();
      rmSync(dataDir, { recursive: true, force: true });
    }
  }
  return {
    title: 'Loading a network (spleen_ct_demo, 4.8 MB) into a session child',
    rows: [
      timeRow('first load, onto the ready spare', onSpare),
      timeRow(`${loadsInARow} loads in a row, each`, inARow),
      timeRow('unload, until the process is gone', unloads),
    ],
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
