import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ThreadPool } from '../../../src/compute/pool.ts';
import { HealthImagingSource } from '../../../src/connectors/healthimaging/healthimaging-source.ts';
import { EndpointError } from '../../../src/errors.ts';
import { encodeHtj2k } from '../../../src/formats/htj2k/encoder.ts';
import { DicomDataLoader } from '../../../src/pipeline/operators/dicom-data-loader.ts';
import { SeriesSelector } from '../../../src/pipeline/operators/series-selector.ts';
import { SeriesToVolume } from '../../../src/pipeline/operators/series-to-volume.ts';
import {
  type FakeHealthImaging,
  type Fault,
  startFakeHealthImaging,
} from '../../support/connectors/fake-healthimaging.ts';
import { regularSlices, testImageSet, testPixels } from '../../support/connectors/test-series.ts';
import { type TestContext, testContext } from '../../support/pipeline-context.ts';

const slices = regularSlices(40, { rows: 16, columns: 16 });
const ids = { datastoreId: 'd'.repeat(32), imageSetId: 'i'.repeat(32) };
const retry = { attempts: 3, baseDelayMs: 1, maxDelayMs: 4, stallTimeoutMs: 300 };
let set: Awaited<ReturnType<typeof testImageSet>>;
let fake: FakeHealthImaging;
let source: HealthImagingSource;
let context: TestContext;
const pool = new ThreadPool(2);
afterAll(() => pool.close());

beforeEach(async () => {
  set ??= await testImageSet(slices);
  fake = await startFakeHealthImaging(set.document, set.frames);
  source = new HealthImagingSource({
    endpoint: fake.url,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxSockets: 8,
    retry,
  });
  context = testContext({ pool });
});
afterEach(async () => {
  await source.close();
  await fake.close();
});

async function readVolume(within: TestContext = context) {
  const { images } = await new DicomDataLoader([ids], [source]).compute({}, within);
  const { selected } = await new SeriesSelector({ modality: 'CT', isRequested: false }).compute({ images }, within);
  return (await new SeriesToVolume().compute({ selected }, within)).image.volume;
}
const failure = (within?: TestContext): Promise<EndpointError> =>
  readVolume(within).then(
    () => {
      throw new Error('a volume came out');
    },
    (error: EndpointError) => error,
  );

it('reads an image set exactly', async () => {
  const volume = await readVolume();
  expect(volume.shape).toEqual([16, 16, 40]);
  const expected = slices.flatMap((slice, index) => [...testPixels(slice, index)].map((value) => value - 1024));
  expect([...volume.data]).toEqual(expected);
});

describe.each([
  ['first', 0],
  ['middle', 20],
  ['last', 39],
])('at the %s frame', (_name, at) => {
  const set404: Fault = { kind: 'status', status: 404, type: 'ResourceNotFoundException' };
  it.each<[string, Fault, string, number]>([
    ['404', set404, 'input_not_found', 1],
    ['403', { kind: 'status', status: 403, type: 'AccessDeniedException' }, 'upstream_failed', 1],
    ['429', { kind: 'status', status: 429, type: 'ThrottlingException' }, 'upstream_failed', 3],
    ['500', { kind: 'status', status: 500 }, 'upstream_failed', 3],
    ['503', { kind: 'status', status: 503 }, 'upstream_failed', 3],
    ['a reset', { kind: 'reset' }, 'upstream_failed', 3],
    ['a cut connection', { kind: 'cut-connection' }, 'upstream_failed', 3],
    ['a stall', { kind: 'stall' }, 'upstream_failed', 3],
    ['garbage', { kind: 'bytes', bytes: new Uint8Array(500).fill(7) }, 'upstream_failed', 1],
    ['nothing', { kind: 'bytes', bytes: new Uint8Array() }, 'upstream_failed', 1],
  ])('%s fails the request by the frame', async (_fault, fault, code, attempts) => {
    const id = set.frameIds[at] as string;
    fake.faults.set(id, fault);
    const error = await failure();
    expect(error).toBeInstanceOf(EndpointError);
    expect(error.code).toBe(code);
    expect(fake.requests.get(id)).toBe(attempts);
    const names = fault.kind === 'bytes' ? `1.2.3.4.${at + 1}` : id;
    expect(error.message).toContain(names);
    expect(JSON.stringify(error)).not.toMatch(/PATIENT|secret/);
  });
});

/** Sockets of both sides, once the source is closed, and threads at work; frames are never files. */
async function expectNothingOpen() {
  await source.close();
  const open = () => process.getActiveResourcesInfo().filter((name) => /TCPSocketWrap|FSReq/.test(name));
  await expect.poll(() => [fake.openSockets(), open(), pool.unfinished], { timeout: 3_000 }).toEqual([0, [], 0]);
}

describe.each([
  ['first', 0],
  ['middle', 20],
  ['last', 39],
])('what arrives whole and is not the %s frame', (_name, at) => {
  const idAt = (index: number) => set.frameIds[index] as string;
  const bytesAt = (index: number) => set.frames.get(idAt(index)) as Uint8Array;

  it('two frames swapped', async () => {
    const other = at === 0 ? 1 : at - 1;
    fake.faults.set(idAt(at), { kind: 'bytes', bytes: bytesAt(other) });
    fake.faults.set(idAt(other), { kind: 'bytes', bytes: bytesAt(at) });
    expect(await failure()).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('CRC-32') });
    await expectNothingOpen();
  });

  it('a page of another content type', async () => {
    const bytes = Buffer.from('<html>Please log in, PATIENT^NAME</html>');
    fake.faults.set(idAt(at), { kind: 'bytes', bytes, type: 'text/html' });
    const error = await failure();
    expect(error).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining(`1.2.3.4.${at + 1}`) });
    expect(JSON.stringify(error)).not.toContain('PATIENT');
    await expectNothingOpen();
  });

  it('a frame of another size', async () => {
    const size = { width: 8, height: 8, bitsAllocated: 16 as const, samplesPerPixel: 1 as const, signed: false };
    const bytes = await encodeHtj2k(new Uint8Array(8 * 8 * 2), size);
    fake.faults.set(idAt(at), { kind: 'bytes', bytes });
    expect(await failure()).toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining(`1.2.3.4.${at + 1}`),
    });
    await expectNothingOpen();
  });

  it.each([404, 403, 429, 500, 503])('a status %i leaves nothing open', async (status) => {
    fake.faults.set(idAt(at), { kind: 'status', status });
    await failure();
    await expectNothingOpen();
  });

  it.each(['reset', 'cut-connection', 'stall'] as const)('a %s leaves nothing open', async (kind) => {
    fake.faults.set(idAt(at), { kind });
    expect(await failure()).toMatchObject({ code: 'upstream_failed' });
    await expectNothingOpen();
  });
});

describe('damaged frames', () => {
  const at = 7;
  const breakFrame = (bytes: Uint8Array) => fake.faults.set(set.frameIds[at] as string, { kind: 'bytes', bytes });
  const good = () => set.frames.get(set.frameIds[at] as string) as Uint8Array;

  it('a stream cut at its end', async () => {
    breakFrame(good().subarray(0, good().length >> 1));
    expect(await failure()).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('1.2.3.4.8') });
  });

  it('one bit flipped in the entropy-coded data', async () => {
    const flipped = good().slice();
    flipped[flipped.length - 12] = (flipped[flipped.length - 12] as number) ^ 1;
    breakFrame(flipped);
    expect(await failure()).toMatchObject({ code: 'upstream_failed' });
  });

  it("another frame's bytes", async () => {
    breakFrame(set.frames.get(set.frameIds[at + 1] as string) as Uint8Array);
    expect(await failure()).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('CRC-32') });
  });

  it('a frame of another size', async () => {
    const pixels = new Uint8Array(8 * 8 * 2);
    breakFrame(
      await encodeHtj2k(pixels, { width: 8, height: 8, bitsAllocated: 16, samplesPerPixel: 1, signed: false }),
    );
    expect(await failure()).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('1.2.3.4.8') });
  });

  it('a frame size that the attributes contradict', async () => {
    const document = structuredClone(set.document) as {
      Study: { Series: Record<string, { Instances: Record<string, { ImageFrames: { FrameSizeInBytes: number }[] }> }> };
    };
    document.Study.Series['1.2.3.4']!.Instances['1.2.3.4.8']!.ImageFrames[0]!.FrameSizeInBytes = 511;
    await fake.close();
    fake = await startFakeHealthImaging(document, set.frames);
    await source.close();
    source = new HealthImagingSource({
      endpoint: fake.url,
      credentials: { accessKeyId: 'l', secretAccessKey: 'l' },
      maxSockets: 8,
      retry,
    });
    expect(await failure()).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('511') });
  });
});

describe('faults that pass', () => {
  it.each<[string, Fault]>([
    ['throttled twice', { kind: 'status', status: 429, type: 'ThrottlingException', times: 2 }],
    ['failing twice', { kind: 'status', status: 500, times: 2 }],
    ['reset twice', { kind: 'reset', times: 2 }],
    ['cut once', { kind: 'cut-connection', times: 1 }],
    ['stalled once', { kind: 'stall', times: 1 }],
  ])('%s', async (_name, fault) => {
    for (const id of ['metadata', set.frameIds[3] as string, set.frameIds[30] as string]) fake.faults.set(id, fault);
    expect((await readVolume()).shape).toEqual([16, 16, 40]);
  });
});

describe('the end of a request', () => {
  it('one bad frame stops the others', async () => {
    fake.faults.set(set.frameIds[0] as string, { kind: 'status', status: 403, type: 'AccessDeniedException' });
    for (const id of set.frameIds.slice(1)) fake.faults.set(id, { kind: 'trickle' });
    const start = performance.now();
    expect(await failure()).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('STORE_TOKEN') });
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(fake.requests.size).toBeLessThan(20);
  });

  it('a deadline reaches the sockets', async () => {
    for (const id of set.frameIds) fake.faults.set(id, { kind: 'trickle' });
    const controller = new AbortController();
    const limited = testContext({ signal: controller.signal, pool });
    const failed = failure(limited);
    setTimeout(() => controller.abort(new EndpointError('deadline_exceeded', 'too late')), 300);
    expect(await failed).toMatchObject({ code: 'deadline_exceeded', message: 'too late' });
    await expect.poll(() => fake.openSockets(), { timeout: 3_000 }).toBeLessThanOrEqual(1);
  });
});

describe('metadata', () => {
  it.each<[string, Fault, string]>([
    ['missing', { kind: 'status', status: 404, type: 'ResourceNotFoundException' }, 'input_not_found'],
    ['denied', { kind: 'status', status: 403, type: 'AccessDeniedException' }, 'upstream_failed'],
    ['garbage', { kind: 'bytes', bytes: new Uint8Array(100) }, 'upstream_failed'],
    ['gzip that ends too early', { kind: 'bytes', bytes: Uint8Array.from([0x1f, 0x8b, 8, 0]) }, 'upstream_failed'],
  ])('%s', async (_name, fault, code) => {
    fake.faults.set('metadata', fault);
    expect(await failure()).toMatchObject({ code });
  });

  it('of a data store outside ALLOWED_DATASTORES is never asked for', async () => {
    const limited = new HealthImagingSource({ endpoint: fake.url, maxSockets: 1, allowedDatastores: ['e'.repeat(32)] });
    await expect(limited.open(ids, { signal: context.signal })).rejects.toMatchObject({ code: 'forbidden' });
    expect(fake.requests.size).toBe(0);
  });

  it('no answer from the host', async () => {
    await fake.close();
    expect(await failure()).toMatchObject({ code: 'upstream_failed' });
    fake = await startFakeHealthImaging(set.document, set.frames);
  });
});
