import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packBundles, placeBundles } from '../../../src/archive/pack.ts';
import { FolderArchives } from '../../../src/connectors/filesystem/folder-archives.ts';
import { createLogger } from '../../../src/logger.ts';
import { DiskCache } from '../../../src/model-cache/disk-cache.ts';
import { ManagedModels } from '../../../src/model-cache/managed-models.ts';
import { MemoryEstimates } from '../../../src/model-cache/memory-estimates.ts';
import type { ModelLease, ModelLoader } from '../../../src/model-cache/model.ts';
import { Residency } from '../../../src/model-cache/residency.ts';
import { SelfManagedModels } from '../../../src/model-cache/self-managed-models.ts';
import { CpuDevice } from '../../../src/sessions/device.ts';
import { bundleFiles, writeTree } from '../../support/archives.ts';
import { onnxModel } from '../../support/onnx-bytes.ts';
import { isAlive, never, spleenOnnx, spleenWindow, startPool, type TestPool, until } from '../../support/sessions.ts';

const mebibyte = 1024 * 1024;
const rules = { maxBytes: 100 * mebibyte, maxEntries: 100, allowCustomCode: false };
const four = { x: { type: 'float32' as const, dims: [4], data: Float32Array.of(1, 2, 3, 4) } };
const spleenBundle = dirname(dirname(spleenOnnx));

let sessions: TestPool;
let root = '';
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'model-cache-'));
  mkdirSync(join(root, 'store'));
  sessions = await startPool({ workers: 1 });
});
afterEach(async () => {
  await sessions.close();
  rmSync(root, { recursive: true, force: true });
});

/** The whole cache over real session children; the handler's check is not part of it. */
function start(budgetBytes = 2048 * mebibyte) {
  const { pool } = sessions;
  const loader: ModelLoader = {
    load: (model, signal) => pool.load(model.key, join(model.dir, 'models/model.onnx'), signal),
    unload: (key) => pool.unload(key),
    usedBytes: (key) => pool.usedBytes(key),
    peakBytes: (key) => pool.peakBytes(key),
  };
  const logger = createLogger('front', 'silent');
  const device = new CpuDevice(budgetBytes, () => pool.heldBytes);
  const residency = new Residency({ device, loader, estimates: new MemoryEstimates('cpu'), logger });
  const source = new FolderArchives(join(root, 'store'));
  const disk = new DiskCache({ dir: join(root, 'disk'), budgetBytes: 1024 * mebibyte, source, rules });
  const models = new SelfManagedModels({ source, disk, residency, refreshSeconds: 0, logger });
  const managed = new ManagedModels({ residency, rules, roots: [join(root, 'store')] });
  return { residency, models, managed };
}

const networkOf = ({ model }: ModelLease) => sessions.networks.networkOf(model.key, model.signature, 2);

async function answerOf(lease: ModelLease): Promise<number[]> {
  return [...(((await networkOf(lease).run(four)).y?.data ?? []) as Float32Array)];
}

/** Puts the archive of a bundle whose network is one operator. */
async function put(target: string, operator: string): Promise<void> {
  const bundle = join(root, 'bundle');
  rmSync(bundle, { recursive: true, force: true });
  writeTree(bundle, { ...bundleFiles(), 'models/model.onnx': onnxModel({ operator }) });
  await packBundles(await placeBundles([bundle], rules, never), join(root, 'store', target), never);
}

describe('the model cache over session children', () => {
  it('serves an archive and an unpacked bundle of a folder, the same model by digest and answer', async () => {
    await packBundles(await placeBundles([spleenBundle], rules, never), join(root, 'store/packed.tar.gz'), never);
    cpSync(spleenBundle, join(root, 'store/plain'), { recursive: true });
    const { models, residency } = start();
    const leases = await Promise.all(['packed.tar.gz', 'plain.tar.gz'].map((target) => models.acquire(target, never)));
    const [packed, plain] = await Promise.all(
      leases.map((lease) => networkOf(lease).run(spleenWindow(lease.model.signature, 1))),
    );
    expect(leases[0]?.model.digest).toBe(leases[1]?.model.digest);
    const bytesOf = (data: unknown): Buffer => Buffer.from((data as Float32Array).buffer);
    expect(bytesOf(packed?.pred?.data).equals(bytesOf(plain?.pred?.data))).toBe(true);
    for (const lease of leases) lease.release();
    // Measured, and not the estimate of 124 MiB; pages that other processes share count in part.
    for (const { sizeBytes } of residency.status()) {
      expect(sizeBytes).toBeGreaterThan(20 * mebibyte);
      expect(sizeBytes).toBeLessThan(120 * mebibyte);
    }
  });

  it('gives new requests the new version of a replaced archive, while an old one finishes on the old one', async () => {
    const { models } = start();
    await put('m.tar.gz', 'Identity');
    const old = await models.acquire('m.tar.gz', never);
    const oldPid = sessions.pids().find((pid) => pid === Math.min(...sessions.pids())) as number;
    expect(await answerOf(old)).toEqual([1, 2, 3, 4]);
    await put('m.tar.gz', 'Neg');
    const renewed = await models.acquire('m.tar.gz', never);
    expect(await answerOf(renewed)).toEqual([-1, -2, -3, -4]);
    expect(await answerOf(old)).toEqual([1, 2, 3, 4]);
    expect(isAlive(oldPid)).toBe(true);
    old.release();
    await until(() => !isAlive(oldPid));
    expect(await answerOf(renewed)).toEqual([-1, -2, -3, -4]);
  });

  it('has the memory of an evicted model back before the next one is spawned', async () => {
    for (const name of ['a', 'b', 'c'])
      await put(`${name}.tar.gz`, name === 'a' ? 'Abs' : name === 'b' ? 'Neg' : 'Identity');
    const { models, residency } = start(140 * mebibyte); // one estimate of 100 MiB beside one measured child
    for (const target of ['a.tar.gz', 'b.tar.gz', 'c.tar.gz', 'a.tar.gz']) {
      const lease = await models.acquire(target, never);
      await answerOf(lease);
      lease.release();
      expect(residency.status().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThanOrEqual(140 * mebibyte);
    }
    expect(residency.evictions).toBeGreaterThan(0);
    const loaded = residency.status().filter(({ state }) => state === 'READY').length;
    await until(() => sessions.pool.children === loaded + 1);
  });

  it('leaves no process and no file of a model that cannot be loaded', async () => {
    const { models, managed } = start();
    await put('bad.tar.gz', 'NoSuchOperator');
    writeTree(join(root, 'store/bad-folder'), {
      ...bundleFiles(),
      'models/model.onnx': onnxModel({ operator: 'NoSuchOperator' }),
    });
    await expect(models.acquire('bad.tar.gz', never)).rejects.toMatchObject({ code: 'unsupported_bundle' });
    await expect(managed.load('bad', join(root, 'store/bad-folder'), undefined, never)).rejects.toMatchObject({
      code: 'unsupported_bundle',
    });
    writeFileSync(join(root, 'store/cut.tar.gz'), 'cut');
    await expect(models.acquire('cut.tar.gz', never)).rejects.toMatchObject({ code: 'invalid_archive' });
    await until(() => sessions.pids().length === 1 && sessions.pool.children === 1);
    expect(managed.list(undefined, undefined).models).toEqual([]);
    // The checked files of the one archive that was whole stay cached; the cut one left nothing.
    expect(existsSync(join(root, 'disk')) ? readdirSync(join(root, 'disk')).length : 0).toBe(1);
  });

  it('answers an unload when running windows have ended and the process is gone', async () => {
    cpSync(spleenBundle, join(root, 'store/spleen'), { recursive: true });
    const { managed } = start();
    await managed.load('spleen', join(root, 'store/spleen'), undefined, never);
    const [child] = sessions.pids();
    const lease = managed.acquire('spleen');
    const running = networkOf(lease)
      .run(spleenWindow(lease.model.signature, 1))
      .then((outputs) => {
        lease.release();
        return outputs;
      });
    await managed.unload('spleen');
    expect(isAlive(child as number)).toBe(false);
    expect((await running).pred?.dims).toEqual([1, 2, 96, 96, 96]);
    expect(sessions.pool.heldBytes).toBe(0);
    expect(() => managed.acquire('spleen')).toThrow(expect.objectContaining({ code: 'model_not_found' }));
  });

  it('survives the death of the child of a loaded model', async () => {
    await put('m.tar.gz', 'Neg');
    const { models } = start();
    const lease = await models.acquire('m.tar.gz', never);
    process.kill(Math.min(...sessions.pids()), 'SIGKILL');
    expect(await answerOf(lease)).toEqual([-1, -2, -3, -4]);
  });
});
