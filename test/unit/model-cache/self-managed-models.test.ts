import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/logger.ts';
import { DiskCache } from '../../../src/model-cache/disk-cache.ts';
import { SelfManagedModels } from '../../../src/model-cache/self-managed-models.ts';
import { FakeSource, fakeResidency, gate } from '../../support/fake-models.ts';

const never = new AbortController().signal;
const mebibyte = 1024 * 1024;
const rules = { maxBytes: 10_000_000, maxEntries: 100, allowCustomCode: false };
let dir = '';
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'cache-')), 'models');
});
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }));

function start(options: { budgetBytes?: number; diskBudgetBytes?: number } = {}) {
  const source = new FakeSource();
  const fakes = fakeResidency(options.budgetBytes ?? 1000 * mebibyte);
  const disk = new DiskCache({ dir, budgetBytes: options.diskBudgetBytes ?? 1_000_000, source, rules });
  const clock = { nowMs: 1_000_000 };
  const models = new SelfManagedModels({
    source,
    disk,
    residency: fakes.residency,
    refreshSeconds: 30,
    logger: createLogger('front', 'silent'),
    nowMs: () => clock.nowMs,
  });
  const use = async (target: string): Promise<string> => {
    const lease = await models.acquire(target, never);
    lease.release();
    await nextTurn(); // the load's own use ends
    return lease.model.key;
  };
  const later = (seconds: number): void => {
    clock.nowMs += seconds * 1000;
  };
  return { ...fakes, source, disk, models, use, later, clock };
}

const slots = (): string[] => (existsSync(dir) ? readdirSync(dir) : []);

describe('SelfManagedModels', () => {
  it('brings a model in once for all who ask at the same time, and has it ready for the next', async () => {
    const { source, loader, models } = start();
    source.put('sub/a.tar.gz', '1');
    const leases = await Promise.all(Array.from({ length: 8 }, () => models.acquire('sub/a.tar.gz', never)));
    expect(new Set(leases.map(({ model }) => model.key)).size).toBe(1);
    expect(leases[0]?.model).toMatchObject({ name: 'sub/a', digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(existsSync(join(leases[0]?.model.dir as string, 'models/model.onnx'))).toBe(true);
    await models.acquire('sub/a.tar.gz', never);
    expect([source.heads, source.downloads, loader.loads.length]).toEqual([1, 1, 1]);
  });

  it('takes an unpacked bundle as well, with the same digest', async () => {
    const { source, models } = start();
    source.put('a.tar.gz', '1');
    source.putDirectory('b.tar.gz', '1');
    const [a, b] = await Promise.all(['a.tar.gz', 'b.tar.gz'].map((target) => models.acquire(target, never)));
    expect(a?.model.digest).toBe(b?.model.digest);
    expect(a?.model.key).not.toBe(b?.model.key);
  });

  it.each(['../a.tar.gz', '/a.tar.gz', 'a', 'a/../b.tar.gz', '.a.tar.gz', 'a..%2f.tar.gz', 'ä.tar.gz', 'a\0.tar.gz'])(
    'refuses the name %j before the store is asked',
    async (target) => {
      const { source, models } = start();
      await expect(models.acquire(target, never)).rejects.toMatchObject({ code: 'invalid_request' });
      expect(source.heads).toBe(0);
    },
  );

  it('tells that a model is not there, and finds it as soon as it is', async () => {
    const { source, models, use } = start();
    await expect(models.acquire('a.tar.gz', never)).rejects.toMatchObject({ code: 'model_not_found' });
    source.put('a.tar.gz', '1');
    await use('a.tar.gz');
  });

  it('gives new requests the new version, while old ones finish on the old one', async () => {
    const { source, loader, models, residency, later, use } = start();
    source.put('a.tar.gz', '1');
    const old = await models.acquire('a.tar.gz', never);
    source.put('a.tar.gz', '2');
    expect(await use('a.tar.gz')).toBe(old.model.key); // looked at a moment ago
    later(31);
    const renewed = await models.acquire('a.tar.gz', never);
    expect(renewed.model.key).not.toBe(old.model.key);
    expect(renewed.model.digest).not.toBe(old.model.digest);
    expect(loader.unloads).toEqual([]);
    expect(existsSync(old.model.dir)).toBe(true);
    old.release();
    await expect.poll(() => loader.unloads).toEqual(['a']);
    expect(residency.isReady(renewed.model.key)).toBe(true);
  });

  it('looks at an unchanged model again, and keeps it', async () => {
    const { source, loader, later, use } = start();
    source.put('a.tar.gz', '1');
    const key = await use('a.tar.gz');
    later(29);
    expect(await use('a.tar.gz')).toBe(key);
    expect(source.heads).toBe(1);
    later(2);
    expect(await use('a.tar.gz')).toBe(key);
    expect([source.heads, source.downloads, loader.loads.length]).toEqual([2, 1, 1]);
  });

  it('serves on while the store cannot be asked, but not once the model is gone', async () => {
    const { source, loader, models, later, use } = start();
    source.put('a.tar.gz', '1');
    const key = await use('a.tar.gz');
    later(31);
    source.headFailure = new EndpointError('upstream_failed', 'down');
    expect(await use('a.tar.gz')).toBe(key);
    await expect(models.acquire('b.tar.gz', never)).rejects.toMatchObject({ code: 'upstream_failed' });
    source.headFailure = undefined;
    source.stored.delete('a.tar.gz');
    later(31);
    await expect(models.acquire('a.tar.gz', never)).rejects.toMatchObject({ code: 'model_not_found' });
    await expect.poll(() => loader.unloads).toEqual(['a']);
  });

  it('waits for an archive that is still being written', async () => {
    const { source, models, clock } = start();
    source.put('a.tar.gz', 'half', Buffer.from('half'));
    Object.assign(source.stored.get('a.tar.gz') ?? {}, { modifiedAtMs: clock.nowMs });
    const waiting = models.acquire('a.tar.gz', never);
    await expect.poll(() => source.heads).toBeGreaterThan(1);
    expect(source.downloads).toBe(0);
    source.put('a.tar.gz', 'whole');
    Object.assign(source.stored.get('a.tar.gz') ?? {}, { modifiedAtMs: clock.nowMs });
    clock.nowMs += 1001;
    await waiting;
    expect(source.downloads).toBe(1);
  });

  it('stops waiting for it when the request is over', async () => {
    const { source, models, clock } = start();
    source.put('a.tar.gz', 'half', Buffer.from('half'));
    Object.assign(source.stored.get('a.tar.gz') ?? {}, { modifiedAtMs: clock.nowMs });
    const controller = new AbortController();
    const waiting = models.acquire('a.tar.gz', controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
  });

  it('looks again when an archive changes while it is copied', async () => {
    const { source, use, loader } = start();
    source.put('a.tar.gz', '1');
    source.onDownload = (target) => {
      if (source.downloads === 1) source.put(target, '2');
    };
    await use('a.tar.gz');
    expect([source.heads, source.downloads, loader.loads.length]).toEqual([2, 2, 1]);
    expect(slots()).toHaveLength(1);
  });

  it('leaves nothing of a bad archive, and does not fetch the same one again for a while', async () => {
    const { source, loader, models, later, use } = start();
    source.put('a.tar.gz', '1', Buffer.from('no archive'));
    for (let i = 0; i < 3; i++) {
      await expect(models.acquire('a.tar.gz', never)).rejects.toMatchObject({ code: 'invalid_archive' });
    }
    expect(source.downloads).toBe(1);
    expect([slots(), loader.loads]).toEqual([[], []]);
    later(31);
    await expect(models.acquire('a.tar.gz', never)).rejects.toMatchObject({ code: 'invalid_archive' });
    expect(source.downloads).toBe(2);
    source.put('a.tar.gz', '2');
    await use('a.tar.gz');
  });

  it('leaves nothing of a load that fails; the files stay cached, and the next try can succeed', async () => {
    const { source, loader, models, residency, use } = start();
    source.put('a.tar.gz', '1');
    loader.failures.push(new EndpointError('worker_crashed', 'died'));
    await expect(models.acquire('a.tar.gz', never)).rejects.toMatchObject({ code: 'worker_crashed' });
    expect(loader.held.size).toBe(0);
    expect(residency.status()).toMatchObject([{ state: 'FAILED', reason: 'worker_crashed' }]);
    await use('a.tar.gz');
    expect(source.downloads).toBe(1);
  });

  it('lets one of those who wait leave, and stops when all have left', async () => {
    const { source, loader, models } = start();
    source.put('a.tar.gz', '1');
    const open = gate();
    source.gate = open.closed;
    const [first, second] = [new AbortController(), new AbortController()];
    const left = models.acquire('a.tar.gz', first.signal);
    const stays = models.acquire('a.tar.gz', never);
    await expect.poll(() => source.downloads).toBe(1);
    first.abort();
    await expect(left).rejects.toMatchObject({ code: 'deadline_exceeded' });
    open.open();
    await stays;
    expect(source.downloads).toBe(1);

    source.put('b.tar.gz', '1');
    source.gate = gate().closed;
    const alone = models.acquire('b.tar.gz', second.signal);
    await expect.poll(() => source.downloads).toBe(2);
    second.abort();
    await expect(alone).rejects.toMatchObject({ code: 'deadline_exceeded' });
    source.gate = Promise.resolve();
    await models.acquire('b.tar.gz', never); // not given the cancellation of the other one
    expect(slots()).toHaveLength(2);
    expect(loader.loads).toEqual(['a', 'b']);
  });

  it('makes room by the least recently used model, and brings that one back when it is asked for', async () => {
    const { source, loader, use } = start({ budgetBytes: 125 * mebibyte });
    for (const target of ['a.tar.gz', 'b.tar.gz', 'c.tar.gz']) source.put(target, '1');
    await use('a.tar.gz');
    await use('b.tar.gz');
    await use('a.tar.gz');
    await use('c.tar.gz');
    await use('b.tar.gz');
    expect(loader.loads).toEqual(['a', 'b', 'c', 'b']);
    expect(source.downloads).toBe(3); // still on disk
    expect(loader.mostHeldBytes).toBeLessThanOrEqual(125 * mebibyte);
  });

  it('serves many models on little memory, each its own, none lost', async () => {
    const { source, loader, models } = start({ budgetBytes: 150 * mebibyte, diskBudgetBytes: 1500 });
    const targets = Array.from({ length: 12 }, (_, i) => `m${i}.tar.gz`);
    for (const target of targets) source.put(target, target);
    const requests = Array.from({ length: 60 }, (_, i) => targets[(i * 7 + (i % 3)) % targets.length] as string);
    await Promise.all(
      [0, 1, 2].map(async (client) => {
        for (const target of requests.slice(client * 20, client * 20 + 20)) {
          const lease = await models.acquire(target, never);
          expect(`${lease.model.name}.tar.gz`).toBe(target);
          expect(loader.held.has(lease.model.key)).toBe(true);
          expect(existsSync(join(lease.model.dir, 'models/model.onnx'))).toBe(true);
          lease.release();
        }
      }),
    );
    expect(loader.mostHeldBytes).toBeLessThanOrEqual(150 * mebibyte);
  });
});

describe('DiskCache', () => {
  it('keeps to its budget: the least recently used models leave, never those of loaded models', async () => {
    const { source, disk, residency, use, models } = start({ diskBudgetBytes: 500 });
    for (const target of ['a.tar.gz', 'b.tar.gz', 'c.tar.gz', 'd.tar.gz']) source.put(target, '1');
    const pinned = await models.acquire('a.tar.gz', never);
    const bytes = disk.usedBytes;
    expect(bytes).toBeGreaterThan(150);
    for (const target of ['b.tar.gz', 'c.tar.gz', 'd.tar.gz']) {
      await residency.unload(await use(target), 0);
      expect(disk.usedBytes).toBeLessThanOrEqual(500);
    }
    expect(existsSync(pinned.model.dir)).toBe(true);
    await expect.poll(slots).toHaveLength(Math.floor(500 / bytes));
    await disk.close();
    expect(existsSync(dir)).toBe(false);
  });

  it('refuses what can never fit', async () => {
    const { source, models } = start({ diskBudgetBytes: 100 });
    source.put('a.tar.gz', '1');
    await expect(models.acquire('a.tar.gz', never)).rejects.toMatchObject({
      code: 'invalid_archive',
      message: expect.stringContaining('DISK_BUDGET_BYTES'),
    });
    expect(slots()).toEqual([]);
  });
});

describe('unloading by name', () => {
  it('frees the memory, is well twice, and lets a later request bring the model in again', async () => {
    const { source, loader, models, use } = start();
    source.put('a.tar.gz', '1');
    await models.unload('a.tar.gz', never);
    expect(models.isLoaded('a.tar.gz')).toBe(false);
    const first = await use('a.tar.gz');
    expect(models.isLoaded('a.tar.gz')).toBe(true);
    for (let n = 0; n < 2; n++) await models.unload('a.tar.gz', never);
    expect([models.isLoaded('a.tar.gz'), loader.held.size, loader.unloads]).toEqual([false, 0, ['a']]);
    expect(source.stored.has('a.tar.gz')).toBe(true);
    expect(await use('a.tar.gz')).not.toBe(first);
  });

  it('waits for the requests that use the model, and takes no new ones on it', async () => {
    const { source, loader, models } = start();
    source.put('a.tar.gz', '1');
    const lease = await models.acquire('a.tar.gz', never);
    let unloaded = false;
    const unloading = models.unload('a.tar.gz', never).then(() => {
      unloaded = true;
    });
    for (let n = 0; n < 5; n++) await nextTurn();
    expect([unloaded, loader.held.size, models.isLoaded('a.tar.gz')]).toEqual([false, 1, false]);
    lease.release();
    await unloading;
    expect(loader.held.size).toBe(0);
  });

  it('waits for a load that is under way: it would be left loaded', async () => {
    const { source, loader, models } = start();
    source.put('a.tar.gz', '1');
    const open = gate();
    loader.gate = open.closed;
    const loading = models.acquire('a.tar.gz', never).then((lease) => lease.release());
    while (loader.loads.length === 0) await nextTurn();
    const unloading = models.unload('a.tar.gz', never);
    open.open();
    await Promise.all([loading, unloading]);
    expect([models.isLoaded('a.tar.gz'), loader.held.size]).toEqual([false, 0]);
  });

  it('is well where the load fails that it waited for, and stops waiting with its caller', async () => {
    const { source, loader, models } = start();
    source.put('a.tar.gz', '1');
    const open = gate();
    loader.gate = open.closed;
    loader.failures.push(new EndpointError('unsupported_bundle', 'no such transform'));
    const loading = models.acquire('a.tar.gz', never);
    while (loader.loads.length === 0) await nextTurn();
    const caller = new AbortController();
    const impatient = models.unload('a.tar.gz', caller.signal);
    caller.abort(new EndpointError('deadline_exceeded', 'gone'));
    await expect(impatient).rejects.toMatchObject({ message: 'gone' });
    const unloading = models.unload('a.tar.gz', never);
    open.open();
    await expect(loading).rejects.toMatchObject({ code: 'unsupported_bundle' });
    await unloading;
    expect(() => models.isLoaded('../a')).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
