import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { LoadedModel } from '../../../src/model-cache/model.ts';
import type { LoadOptions } from '../../../src/model-cache/residency.ts';
import { fakeBundle, fakeResidency, gate } from '../../support/fake-models.ts';

const mebibyte = 1024 * 1024;
const never = new AbortController().signal;
const evictable = { evictable: true };
/** Room for two models of 200 MiB. */
const twoModels = 450 * mebibyte;
const size = 200 * mebibyte;

/** A residency whose models hold just what was estimated. */
function withModels(budgetBytes = twoModels) {
  const fakes = fakeResidency(budgetBytes);
  for (const name of ['a', 'b', 'c', 'd']) fakes.loader.bytesOf.set(name, size);
  const load = async (name: string, options: LoadOptions = evictable, signal = never): Promise<LoadedModel> => {
    const lease = await fakes.residency.load(name, fakeBundle(name, size), signal, options);
    lease.release();
    return lease.model;
  };
  return { ...fakes, load };
}

describe('Residency', () => {
  it('unloads the least recently used idle model to make room', async () => {
    const { residency, loader, load } = withModels();
    const a = await load('a');
    const b = await load('b');
    residency.lease(a.key).release(); // a was used last
    await load('c');
    expect(loader.unloads).toEqual(['b']);
    expect(residency.isReady(a.key)).toBe(true);
    expect(residency.isReady(b.key)).toBe(false);
    expect(residency.evictions).toBe(1);
    expect(() => residency.lease(b.key)).toThrow(expect.objectContaining({ code: 'model_not_found' }));
  });

  it('never unloads a model in use: 507 when all are', async () => {
    const { residency, loader, load } = withModels();
    const leases = [await load('a'), await load('b')].map(({ key }) => residency.lease(key));
    await expect(load('c')).rejects.toMatchObject({
      code: 'insufficient_memory',
      message: expect.stringContaining('in use'),
    });
    expect(loader.loads).toEqual(['a', 'b']);
    expect(loader.unloads).toEqual([]);
    leases[0]?.release();
    await load('c');
    expect(loader.unloads).toEqual(['a']);
  });

  it('refuses a model that alone exceeds the budget before anything is spawned, and evicts nothing for it', async () => {
    const { residency, loader, load } = withModels();
    await load('a');
    await expect(residency.load('huge', fakeBundle('huge', 500 * mebibyte), never, evictable)).rejects.toMatchObject({
      code: 'insufficient_memory',
    });
    expect(loader.loads).toEqual(['a']);
    expect(loader.unloads).toEqual([]);
  });

  it('does not evict for a model that SageMaker manages, nor ever evicts one', async () => {
    const { loader, load } = withModels();
    await load('a');
    await load('b', { evictable: false });
    await expect(load('c', { evictable: false })).rejects.toMatchObject({ code: 'insufficient_memory' });
    await load('d');
    expect(loader.unloads).toEqual(['a']);
    await expect(load('c', { evictable: false })).rejects.toMatchObject({ code: 'insufficient_memory' });
  });

  it('sets memory aside before a load, so that loads at the same time cannot take the same room', async () => {
    const { loader, load } = withModels();
    const results = await Promise.allSettled(['a', 'b', 'c', 'd'].map((name) => load(name, { evictable: false })));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    expect(loader.mostHeldBytes).toBeLessThanOrEqual(twoModels);
  });

  it('waits until the memory of an evicted model is really back', async () => {
    const { loader, load } = withModels();
    await load('a');
    await load('b');
    const unloading = gate();
    loader.unloadGate = unloading.closed;
    let loaded = false;
    const loading = load('c').then(() => {
      loaded = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(loaded).toBe(false);
    expect(loader.loads).toEqual(['a', 'b']);
    unloading.open();
    await loading;
    expect(loader.mostHeldBytes).toBeLessThanOrEqual(twoModels);
  });

  it('is left at once by a load that waits for room, and the next one gets the room', async () => {
    const { residency, loader, load } = withModels();
    await load('a');
    await load('b');
    const unloading = gate();
    loader.unloadGate = unloading.closed;
    const client = new AbortController();
    const waiting = load('c', evictable, client.signal);
    await new Promise((resolve) => setTimeout(resolve, 5));
    client.abort(new EndpointError('deadline_exceeded', 'The client closed the connection.'));
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(loader.loads).toEqual(['a', 'b']);
    expect(residency.status().map(({ name, state }) => `${name} ${state}`)).toContain('c FAILED');
    const next = load('d');
    unloading.open();
    await next;
    expect(loader.loads).toEqual(['a', 'b', 'd']);
    expect(loader.mostHeldBytes).toBeLessThanOrEqual(twoModels);
  });

  it('unloads idle models for jobs that need their room, and none that is in use or kept for SageMaker', async () => {
    const { residency, loader, load } = withModels(4 * size);
    await load('a', { evictable: false });
    const used = residency.lease((await load('b')).key);
    await load('c');
    await load('d');
    residency.shrinkIdle(3 * size);
    await expect.poll(() => loader.unloads).toEqual(['c']);
    residency.shrinkIdle(0);
    await expect.poll(() => loader.unloads).toEqual(['c', 'd']);
    await expect.poll(() => residency.heldBytes).toBe(2 * size);
    used.release();
  });

  it('uses the measured size after the load, and the peak for the next load of the same digest', async () => {
    const { residency, loader, load } = withModels();
    loader.bytesOf.set('a', 50 * mebibyte);
    const a = await load('a');
    expect(residency.status()).toEqual([{ name: 'a', state: 'READY', sizeBytes: 50 * mebibyte }]);
    const lease = residency.lease(a.key);
    loader.held.set(a.key, 430 * mebibyte); // a request that needed much
    lease.release();
    expect(residency.status()[0]?.sizeBytes).toBe(430 * mebibyte);
    expect(residency.hasRoomFor(30 * mebibyte)).toBe(false);
    await residency.unload(a.key, 0);
    const b = await load('b', { evictable: false });
    // The estimate is the recorded peak now: it doesn't fit beside b.
    await expect(load('a')).rejects.toMatchObject({ code: 'insufficient_memory' });
    await residency.unload(b.key, 0);
    await load('a');
  });

  it('evicts others when a model in use grows, and the model itself when it outgrows the budget', async () => {
    const { residency, loader, load } = withModels();
    const a = await load('a');
    await load('b');
    const lease = residency.lease(a.key);
    loader.held.set(a.key, 300 * mebibyte);
    lease.release();
    await expect.poll(() => loader.unloads).toEqual(['b']);
    const again = residency.lease(a.key);
    loader.held.set(a.key, 500 * mebibyte);
    again.release();
    await expect.poll(() => loader.unloads).toEqual(['b', 'a']);
  });

  it('counts what others use of the device', async () => {
    const { loader, load, device } = withModels();
    await load('a');
    device.used = 400 * mebibyte;
    await expect(load('b')).rejects.toMatchObject({ code: 'insufficient_memory' });
    expect(loader.unloads).toEqual(['a']);
    device.used = 0;
    await load('b');
  });

  it('leaves nothing of a failed load, tells why it failed, and gives the room back', async () => {
    const { residency, loader, load } = withModels();
    let gone = 0;
    const onGone = (): void => void gone++;
    for (const error of [new EndpointError('unsupported_bundle', 'no'), new TypeError('bug')]) {
      loader.failures.push(error);
      await expect(load('a', { evictable: true, onGone })).rejects.toBe(error);
      expect(loader.held.size).toBe(0);
    }
    expect(gone).toBe(2);
    expect(residency.status()).toEqual([{ name: 'a', state: 'FAILED', reason: 'internal', sizeBytes: 0 }]);
    await Promise.all([load('a'), load('b')]);
    expect(residency.status().map(({ state }) => state)).toEqual(['READY', 'READY']);
  });

  it('stops a cancelled load, and leaves nothing of it', async () => {
    const { residency, loader, load } = withModels();
    const loading = gate();
    loader.gate = loading.closed;
    const controller = new AbortController();
    const result = load('a', evictable, controller.signal);
    await expect.poll(() => loader.loads).toEqual(['a']);
    expect(residency.status()).toMatchObject([{ name: 'a', state: 'LOADING' }]);
    controller.abort();
    await expect(result).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(loader.held.size).toBe(0);
    expect(residency.hasRoomFor(twoModels)).toBe(true);
  });

  it('unloads when the last use ends, or when the wait is over', async () => {
    const { residency, loader, load } = withModels();
    const a = await load('a');
    const [first, second] = [residency.lease(a.key), residency.lease(a.key)];
    const unloading = residency.unload(a.key, 60_000);
    expect(() => residency.lease(a.key)).toThrow(expect.objectContaining({ code: 'model_not_found' }));
    first?.release();
    first?.release(); // a second release does nothing
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(loader.unloads).toEqual([]);
    second?.release();
    await unloading;
    expect(loader.unloads).toEqual(['a']);

    const b = await load('b');
    const stuck = residency.lease(b.key);
    await residency.unload(b.key, 10);
    expect(loader.unloads).toEqual(['a', 'b']);
    stuck.release();
    expect(loader.unloads).toEqual(['a', 'b']);
  });

  it('lets a retired model finish its uses, and takes no new ones', async () => {
    const { residency, loader, load } = withModels();
    let gone = false;
    const a = await load('a', {
      evictable: true,
      onGone: () => {
        gone = true;
      },
    });
    const lease = residency.lease(a.key);
    residency.retire(a.key);
    expect(residency.isReady(a.key)).toBe(false);
    expect(loader.unloads).toEqual([]);
    lease.release();
    await expect.poll(() => loader.unloads).toEqual(['a']);
    await expect.poll(() => gone).toBe(true);
  });
});
