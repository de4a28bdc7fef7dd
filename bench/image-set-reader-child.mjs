// One warm process that reads image sets as a pipeline process does: the compiled source, operator and thread pool, and
// nothing of the benchmark beside them, so that its memory is theirs. The first argument is the endpoint's URL.
//
// A line on standard input is a request, {"datastoreId", "imageSetId", "from": "store" | "memory"}: image set → volume,
// from the store, or from encoded frames that were fetched before the time counts. The answer has the milliseconds, the
// volume's SHA-256 (as int16), its size, and the greatest resident size that the process had so far.
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { ThreadPool } from '../dist/compute/pool.js';
import { HealthImagingSource } from '../dist/connectors/healthimaging/healthimaging-source.js';
import { SeriesToVolume } from '../dist/pipeline/operators/series-to-volume.js';
import { PhaseClock } from '../dist/pipeline/phase-clock.js';

const pool = new ThreadPool(availableParallelism());
const source = new HealthImagingSource({
  endpoint: process.argv[2],
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  maxSockets: 16,
});
const { signal } = new AbortController();

async function openSeries(id) {
  const loaded = await source.open(id, { signal, scratchDir: '.' });
  const [first] = loaded.kind === 'dicom' ? loaded.series : [];
  if (!first) throw new Error('the image set holds no series');
  return first;
}

async function readVolume(open) {
  const from = performance.now();
  const selected = { kind: 'dicom', series: await open() };
  const context = { signal, pool, scratchDir: '.', clock: new PhaseClock(), warn: () => undefined };
  const { image } = await new SeriesToVolume().compute({ selected }, context);
  const total = performance.now() - from;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const { data } = image.volume;
  const values = data instanceof Int16Array ? data : Int16Array.from(data); // the values, whatever type holds them
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { total, peakBytes, volumeBytes: data.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') };
}

let kept;

/** The series with its frames in memory, shared as those that are read from the store are. */
async function keptSeries(id) {
  const { seriesInstanceUid, instances } = await openSeries(id);
  const held = instances.map(async (instance) => {
    const frame = await instance.readFrame(0, signal);
    const bytes = new Uint8Array(new SharedArrayBuffer(frame.bytes.length));
    bytes.set(frame.bytes);
    return { ...instance, readFrame: async () => ({ ...frame, bytes }) };
  });
  return { seriesInstanceUid, instances: await Promise.all(held) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { from, ...id } = JSON.parse(line);
  if (from === 'memory') kept ??= await keptSeries(id);
  const answer = await readVolume(from === 'memory' ? () => kept : () => openSeries(id));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await source.close();
await pool.close();
