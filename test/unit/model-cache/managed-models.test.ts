import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { ManagedModels } from '../../../src/model-cache/managed-models.ts';
import { SingleModel } from '../../../src/model-cache/single-model.ts';
import { bundleFiles, writeTree } from '../../support/archives.ts';
import { fakeResidency, gate } from '../../support/fake-models.ts';

const never = new AbortController().signal;
const mebibyte = 1024 * 1024;
const rules = { maxBytes: 10_000_000, maxEntries: 100, allowCustomCode: false };
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'managed-'));
  mkdirSync(join(dir, 'models'));
  for (const name of ['one', 'two', 'three']) writeTree(join(dir, 'models', name, 'model'), bundleFiles(name));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function start(budgetBytes = 1000 * mebibyte) {
  const fakes = fakeResidency(budgetBytes);
  const registry = new ManagedModels({
    residency: fakes.residency,
    rules,
    roots: [join(dir, 'models')],
    unloadWaitMs: 50,
  });
  const url = (name: string): string => join(dir, 'models', name, 'model');
  const load = (name: string, signal = never): Promise<void> => registry.load(name, url(name), undefined, signal);
  return { ...fakes, registry, url, load };
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('ManagedModels', () => {
  it('loads, lists, describes, lends and unloads', async () => {
    const { registry, loader, url, load } = start();
    await load('two');
    await load('one');
    expect(registry.list(undefined, undefined)).toEqual({
      models: [
        { modelName: 'one', modelUrl: url('one') },
        { modelName: 'two', modelUrl: url('two') },
      ],
    });
    expect(registry.describe('one')).toEqual({ modelName: 'one', modelUrl: url('one') });
    const lease = registry.acquire('one');
    expect(lease.model).toMatchObject({ name: 'one', dir: url('one') });
    lease.release();
    await registry.unload('one');
    expect(loader.unloads).toEqual(['one']);
    for (const call of [() => registry.describe('one'), () => registry.acquire('one')]) {
      expect(call).toThrow(code('model_not_found'));
    }
    await expect(registry.unload('one')).rejects.toMatchObject({ code: 'model_not_found' });
    expect(registry.list(undefined, undefined).models).toHaveLength(1);
  });

  it('knows the model by the name that SageMaker tells, where it tells one', async () => {
    const { registry, url } = start();
    await registry.load('5f3a', url('one'), 'sub/spleen.tar.gz', never);
    expect(registry.acquire('5f3a').model.name).toBe('sub/spleen');
    await expect(registry.load('77aa', url('two'), '../evil', never)).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(registry.list(undefined, undefined).models).toHaveLength(1);
  });

  it('takes the name that people know with or without its suffix, and finds the model by either name', async () => {
    const { registry, url } = start();
    await registry.load('5f3a', url('one'), 'sub/spleen', never);
    expect(registry.acquire('5f3a').model.name).toBe('sub/spleen');
    expect(registry.nameOf('sub/spleen')).toBe('5f3a');
    expect(registry.nameOf('5f3a')).toBe('5f3a');
    expect(registry.nameOf('spleen')).toBeUndefined();
    // A new upload has another hash: the name means it from now on.
    await registry.load('77aa', url('two'), 'sub/spleen.tar.gz', never);
    expect(registry.nameOf('sub/spleen')).toBe('77aa');
    await registry.unload('77aa');
    expect(registry.nameOf('77aa')).toBeUndefined();
    expect(registry.nameOf('sub/spleen')).toBe('5f3a');
  });

  it('gives urls without their last /model where it is told to', async () => {
    const { residency, url } = start();
    const roots = [join(dir, 'models')];
    const registry = new ManagedModels({ residency, rules, roots, urlForm: 'parent' });
    await registry.load('one', url('one'), undefined, never);
    const described = { modelName: 'one', modelUrl: join(dir, 'models/one') };
    expect(registry.describe('one')).toEqual(described);
    expect(registry.list(undefined, undefined).models).toEqual([described]);
  });

  it('tells why a model could not be loaded until it could', async () => {
    const { registry, residency, url, load } = start();
    rmSync(join(url('one'), 'configs/metadata.json'));
    await expect(load('one')).rejects.toMatchObject({ code: 'invalid_archive' });
    expect(residency.status()).toEqual([{ name: 'one', state: 'FAILED', reason: 'invalid_archive', sizeBytes: 0 }]);
    await registry.load('one', url('two'), undefined, never);
    await registry.unload('one');
    expect(residency.status()).toEqual([]);
  });

  it('refuses a name that is loaded, or being loaded', async () => {
    const { registry, loader, url, load } = start();
    const open = gate();
    loader.gate = open.closed;
    const loading = load('one');
    await expect(load('one')).rejects.toMatchObject({ code: 'model_already_loaded' });
    expect(registry.list(undefined, undefined).models).toEqual([]);
    expect(() => registry.describe('one')).toThrow(code('model_not_found'));
    open.open();
    await loading;
    await expect(registry.load('one', url('two'), undefined, never)).rejects.toMatchObject({
      code: 'model_already_loaded',
    });
    expect(registry.describe('one').modelUrl).toBe(url('one'));
  });

  it('never evicts: no room is a 507, nothing stays registered, and there is room after an unload', async () => {
    const { registry, loader, load } = start(130 * mebibyte);
    await load('one');
    await expect(load('two')).rejects.toMatchObject({ code: 'insufficient_memory' });
    expect(loader.loads).toEqual(['one']);
    expect(() => registry.describe('two')).toThrow(code('model_not_found'));
    await registry.unload('one');
    await load('two');
  });

  it('leaves nothing of a failed load', async () => {
    const { registry, loader, load } = start();
    loader.failures.push(new EndpointError('unsupported_bundle', 'no such transform'));
    await expect(load('one')).rejects.toMatchObject({ message: 'no such transform' });
    expect(loader.held.size).toBe(0);
    expect(registry.list(undefined, undefined).models).toEqual([]);
    await expect(registry.unload('one')).rejects.toMatchObject({ code: 'model_not_found' });
    await load('one');
  });

  it('stops a load when its caller goes, or when the model is unloaded meanwhile', async () => {
    const { registry, loader, load } = start();
    loader.gate = gate().closed;
    const controller = new AbortController();
    const left = load('one', controller.signal);
    await expect.poll(() => loader.loads).toEqual(['one']);
    controller.abort();
    await expect(left).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const loading = load('two');
    const refused = expect(loading).rejects.toMatchObject({ code: 'model_not_found' });
    await expect.poll(() => loader.loads).toEqual(['one', 'two']);
    await registry.unload('two');
    await refused;
    expect(loader.held.size).toBe(0);
  });

  it('waits for running requests before it unloads, but not for ever', async () => {
    const { registry, loader, load } = start();
    await load('one');
    const lease = registry.acquire('one');
    const unloading = registry.unload('one');
    const again = registry.unload('one');
    expect(() => registry.acquire('one')).toThrow(code('model_not_found'));
    await expect(load('one')).rejects.toMatchObject({ code: 'model_already_loaded' });
    expect(loader.unloads).toEqual([]);
    lease.release();
    await Promise.all([unloading, again]);
    expect(loader.unloads).toEqual(['one']);
    await load('two');
    registry.acquire('two'); // never released
    await registry.unload('two');
    expect(loader.unloads).toEqual(['one', 'two']);
  });

  it('answers an unload only when the memory is back', async () => {
    const { registry, loader, load } = start();
    await load('one');
    const open = gate();
    loader.unloadGate = open.closed;
    let answered = false;
    const unloading = registry.unload('one').then(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(answered).toBe(false);
    open.open();
    await unloading;
    expect(loader.held.size).toBe(0);
  });

  it.each([
    'http://169.254.169.254/latest/meta-data',
    's3://bucket/model',
    'file:///opt/ml/models/x',
    '/etc',
    '/dev/zero',
    '/proc/self',
    'models/one',
    '',
    '%MODELS%',
    '%MODELS%/../outside',
    '%MODELS%/one/../../outside',
    '%MODELS%-evil/model',
    '%MODELS%/link',
    '%MODELS%/one\0',
  ])('refuses the url %j', async (pattern) => {
    const { registry, loader } = start();
    writeTree(join(dir, 'outside'), bundleFiles());
    writeTree(join(dir, 'models-evil/model'), bundleFiles());
    symlinkSync(join(dir, 'outside'), join(dir, 'models/link'));
    const url = pattern.replace('%MODELS%', join(dir, 'models'));
    const error = await registry.load('m', url, undefined, never).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'forbidden', message: expect.not.stringContaining(dir) });
    expect(loader.loads).toEqual([]);
  });

  it('refuses links inside a model, a missing folder, and a folder that is no bundle', async () => {
    const { registry, url, load } = start();
    symlinkSync('/etc/passwd', join(url('one'), 'configs/link'));
    await expect(load('one')).rejects.toMatchObject({ code: 'invalid_archive' });
    await expect(load('missing')).rejects.toMatchObject({ code: 'invalid_archive' });
    mkdirSync(join(dir, 'models/empty/model'), { recursive: true });
    await expect(load('empty')).rejects.toMatchObject({ code: 'invalid_archive' });
    expect(registry.list(undefined, undefined).models).toEqual([]);
  });

  it('lists in pages that stay good while models come and go', async () => {
    const { registry, load } = start();
    for (const name of ['two', 'one', 'three']) await load(name);
    const first = registry.list(undefined, '2');
    expect(first.models.map(({ modelName }) => modelName)).toEqual(['one', 'three']);
    await registry.unload('three');
    const second = registry.list(first.nextPageToken, '2');
    expect(second).toMatchObject({ models: [{ modelName: 'two' }] });
    expect(second.nextPageToken).toBeUndefined();
    expect(registry.list(undefined, '2').nextPageToken).toBeUndefined(); // exactly full is the last page
  });

  it.each([
    ['limit=0', undefined, '0'],
    ['a negative limit', undefined, '-1'],
    ['a broken limit', undefined, '1.5'],
    ['a limit without bounds', undefined, '100000'],
    ['an empty token', '', undefined],
    ['a made-up token', 'abc', undefined],
    ['a token of another form', Buffer.from('after:').toString('base64url'), undefined],
    ['a token with padding', `${Buffer.from('after:one').toString('base64url')}=`, undefined],
  ])('refuses %s', (_, token, limit) => {
    expect(() => start().registry.list(token, limit)).toThrow(code('invalid_request'));
  });
});

describe('SingleModel', () => {
  it('loads the model of the container once, at its first use', async () => {
    const { residency, loader } = start();
    const single = new SingleModel({ dir: join(dir, 'models/one/model'), residency, rules });
    loader.failures.push(new EndpointError('worker_crashed', 'died'));
    await expect(single.acquire(never)).rejects.toMatchObject({ code: 'worker_crashed' });
    const leases = await Promise.all([single.acquire(never), single.acquire(never)]);
    expect(leases[0]?.model.key).toBe(leases[1]?.model.key);
    expect(leases[0]?.model.name).toBe('model');
    expect(loader.loads).toEqual(['model', 'model']);
  });

  it('tells that there is none', async () => {
    const { residency } = start();
    const single = new SingleModel({ dir: join(dir, 'nothing'), residency, rules });
    await expect(single.acquire(never)).rejects.toMatchObject({ code: 'model_not_found' });
  });
});
