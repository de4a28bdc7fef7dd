import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { never, startPool, type TestPool } from '../../support/sessions.ts';
import { identityNetwork, tensorBundle } from '../../support/tensor-bundles.ts';

let running: TestPool | undefined;
afterAll(() => running?.close());

it('carries FP16 as its bits on every Node: from 24 on onnxruntime-common wants a Float16Array that its native side cannot read', async () => {
  running = await startPool({ workers: 1 });
  const path = join(running.dataDir, 'half.onnx');
  writeFileSync(path, tensorBundle(identityNetwork('float16', [3]))['models/model.onnx'] as Buffer);
  const { signature } = await running.pool.load('half', path, never);
  const data = Uint16Array.of(0x0001, 0x7e01, 0xc000);
  const { OUTPUT0 } = await running.networks
    .networkOf('half', signature, 1)
    .run({ INPUT0: { type: 'float16', dims: [3], data } });
  expect(OUTPUT0).toEqual({ type: 'float16', dims: [3], data });
});
