import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/logger.ts';
import { DiskCache } from '../../../src/model-cache/disk-cache.ts';
import { ManagedModels } from '../../../src/model-cache/managed-models.ts';
import type { ModelLease } from '../../../src/model-cache/model.ts';
import { SelfManagedModels } from '../../../src/model-cache/self-managed-models.ts';
import { SingleModel } from '../../../src/model-cache/single-model.ts';
import { bundleFiles, entriesOf, tarGz, writeTree } from '../../support/archives.ts';
import { FakeSource, fakeResidency } from '../../support/fake-models.ts';

const never = new AbortController().signal;
const mebibyte = 1024 * 1024;
const rules = { maxBytes: 10_000_000, maxEntries: 100, allowCustomCode: false };
const target = 'team/abdomen.tar.gz';
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bundles-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const bundles = (version = '1') => ({ spleen: bundleFiles(`${version}.1`), brain: bundleFiles(`${version}.2`) });
const archive = (version = '1') =>
  tarGz(Object.entries(bundles(version)).flatMap(([name, files]) => entriesOf(files, `bundles/${name}/`)));
const writeBundles = (folder: string): void => {
  for (const [name, files] of Object.entries(bundles())) writeTree(join(folder, 'bundles', name), files);
};
/** Ends a use, and lets the load's own end too. */
async function done(lease: ModelLease): Promise<string> {
  lease.release();
  await nextTurn();
  return lease.model.key;
}
const refusal = (code: string, text: string) => ({ code, message: expect.stringContaining(text) });

function selfManaged(budgetBytes = 1000 * mebibyte) {
  const source = new FakeSource();
  const fakes = fakeResidency(budgetBytes);
  const disk = new DiskCache({ dir: join(dir, 'disk'), budgetBytes: 1_000_000, source, rules });
  const clock = { nowMs: 1_000_000 };
  const logger = createLogger('front', 'silent');
  const { residency } = fakes;
  const nowMs = () => clock.nowMs;
  const models = new SelfManagedModels({ source, disk, residency, refreshSeconds: 30, logger, nowMs });
  source.put(target, '1', archive());
  return { ...fakes, source, models, clock };
}

describe('several bundles in a stored archive', () => {
  it('are loaded each at its own first use, from one download, with the digest of their own files', async () => {
    const { models, loader, source } = selfManaged();
    source.put('alone.tar.gz', '1', tarGz(entriesOf(bundles().spleen)));
    const alone = await models.acquire('alone.tar.gz', never);
    const spleen = await models.acquire(target, never, 'spleen');
    expect(spleen.model).toMatchObject({ name: 'team/abdomen/spleen', digest: alone.model.digest });
    expect(loader.loads).toEqual(['alone', 'team/abdomen/spleen']);
    const brain = await models.acquire(target, never, 'brain');
    expect(brain.model.name).toBe('team/abdomen/brain');
    expect(brain.model.digest).not.toBe(spleen.model.digest);
    expect(brain.model.dir).toMatch(/bundles\/brain\/$/);
    expect((await models.acquire(target, never, 'spleen')).model.key).toBe(spleen.model.key);
    expect([source.downloads, loader.loads.length]).toEqual([2, 3]);
  });

  it('asked for at the same time share the download, and each its load', async () => {
    const { models, loader, source } = selfManaged();
    const wanted = ['spleen', 'brain', 'spleen', 'brain', 'spleen'];
    const leases = await Promise.all(wanted.map((name) => models.acquire(target, never, name)));
    expect(leases.map(({ model }) => model.name)).toEqual(wanted.map((name) => `team/abdomen/${name}`));
    expect([source.downloads, loader.loads.length]).toEqual([1, 2]);
  });

  it('must be named, by a name that is there; the refusal lists them', async () => {
    const { models, loader } = selfManaged();
    for (const loaded of [false, true]) {
      if (loaded) await models.acquire(target, never, 'spleen');
      await expect(models.acquire(target, never)).rejects.toMatchObject(refusal('invalid_request', 'brain, spleen'));
      await expect(models.acquire(target, never, 'liver')).rejects.toMatchObject({
        ...refusal('model_not_found', 'brain, spleen'),
        details: { models: ['brain', 'spleen'] },
      });
    }
    expect(loader.loads).toEqual(['team/abdomen/spleen']);
  });

  it('leave memory by themselves, and come back without a download', async () => {
    const { models, loader, source } = selfManaged(110 * mebibyte);
    const first = await done(await models.acquire(target, never, 'spleen'));
    await done(await models.acquire(target, never, 'brain'));
    expect(loader.unloads).toEqual(['team/abdomen/spleen']);
    expect(await done(await models.acquire(target, never, 'spleen'))).not.toBe(first);
    expect(loader.unloads).toEqual(['team/abdomen/spleen', 'team/abdomen/brain']);
    expect(source.downloads).toBe(1);
  });

  it('all give way to a new version of the archive', async () => {
    const { models, loader, source, clock } = selfManaged();
    const [old] = [
      await models.acquire(target, never, 'spleen'),
      await done(await models.acquire(target, never, 'brain')),
    ];
    source.put(target, '2', archive('2'));
    clock.nowMs += 31_000;
    const renewed = await models.acquire(target, never, 'brain');
    expect(loader.unloads).toEqual(['team/abdomen/brain']);
    expect((await models.acquire(target, never, 'spleen')).model.digest).not.toBe(old?.model.digest);
    // The old one finishes its request first.
    await done(old as ModelLease);
    await nextTurn();
    expect(loader.unloads).toEqual(['team/abdomen/brain', 'team/abdomen/spleen']);
    expect(renewed.model.dir).not.toBe(old?.model.dir);
  });

  it('do not fail with one another: what one is refused for stays its own', async () => {
    const { models, loader } = selfManaged();
    loader.failures.push(new EndpointError('unsupported_bundle', 'no such transform'));
    await expect(models.acquire(target, never, 'spleen')).rejects.toMatchObject({ code: 'unsupported_bundle' });
    expect((await models.acquire(target, never, 'brain')).model.name).toBe('team/abdomen/brain');
    await expect(models.acquire(target, never, 'spleen')).rejects.toMatchObject({ code: 'unsupported_bundle' });
    expect(loader.loads).toEqual(['team/abdomen/spleen', 'team/abdomen/brain']);
  });

  it('are not what a single bundle answers for, except by the name of its archive', async () => {
    const { models, source } = selfManaged();
    source.put('sub/liver.tar.gz', '1');
    await expect(models.acquire('sub/liver.tar.gz', never, 'spleen')).rejects.toMatchObject(
      refusal('model_not_found', 'leave it out'),
    );
    expect((await models.acquire('sub/liver.tar.gz', never, 'sub/liver')).model.name).toBe('sub/liver');
  });
});

describe('several bundles in the container’s own model', () => {
  const single = (budgetBytes = 1000 * mebibyte) => {
    const fakes = fakeResidency(budgetBytes);
    return { ...fakes, models: new SingleModel({ dir: join(dir, 'model'), residency: fakes.residency, rules }) };
  };

  it('are picked by name, and make room for one another', async () => {
    writeBundles(join(dir, 'model'));
    const { models, loader } = single(110 * mebibyte);
    await expect(models.acquire(never)).rejects.toMatchObject(refusal('invalid_request', 'brain, spleen'));
    await expect(models.acquire(never, 'liver')).rejects.toMatchObject(refusal('model_not_found', 'brain, spleen'));
    for (const name of ['spleen', 'brain', 'spleen']) {
      const lease = await models.acquire(never, name);
      expect(lease.model.name).toBe(name);
      await done(lease);
    }
    expect(loader.loads).toEqual(['spleen', 'brain', 'spleen']);
    expect(loader.unloads).toEqual(['spleen', 'brain']);
  });

  it('need not be named when there is one', async () => {
    writeTree(join(dir, 'model/bundles/spleen'), bundles().spleen);
    const { models } = single();
    expect((await models.acquire(never)).model.name).toBe('spleen');
    expect((await models.acquire(never, 'spleen')).model.name).toBe('spleen');
  });
});

describe('several bundles in an archive that SageMaker loads', () => {
  const managed = (budgetBytes = 1000 * mebibyte) => {
    writeBundles(join(dir, 'models/hash/model'));
    const fakes = fakeResidency(budgetBytes);
    const registry = new ManagedModels({ residency: fakes.residency, rules, roots: [join(dir, 'models')] });
    const load = () => registry.load('hash', join(dir, 'models/hash/model'), target, never);
    return { ...fakes, registry, load };
  };

  it('are all loaded by POST, picked by name, and all gone with DELETE', async () => {
    const { registry, loader, load } = managed();
    await load();
    expect(loader.loads.sort()).toEqual(['team/abdomen/brain', 'team/abdomen/spleen']);
    const lease = registry.acquire('hash', 'spleen');
    expect(lease.model).toMatchObject({ name: 'team/abdomen/spleen' });
    lease.release();
    // A 404 would have SageMaker load what is loaded.
    expect(() => registry.acquire('hash')).toThrow(
      expect.objectContaining(refusal('invalid_request', 'brain, spleen')),
    );
    expect(() => registry.acquire('hash', 'x')).toThrow(expect.objectContaining(refusal('invalid_request', 'spleen')));
    expect(registry.list(undefined, undefined).models).toHaveLength(1);
    await registry.unload('hash');
    expect(loader.held.size).toBe(0);
    expect(() => registry.acquire('hash', 'spleen')).toThrow(expect.objectContaining({ code: 'model_not_found' }));
  });

  it('leave nothing when the room is too small for all of them', async () => {
    const { registry, loader, load } = managed(150 * mebibyte);
    await expect(load()).rejects.toMatchObject({ code: 'insufficient_memory' });
    expect(loader.held.size).toBe(0);
    expect(registry.list(undefined, undefined).models).toEqual([]);
    loader.bytesOf.set('team/abdomen/brain', 10 * mebibyte);
    expect(() => registry.acquire('hash', 'brain')).toThrow(expect.objectContaining({ code: 'model_not_found' }));
  });
});
