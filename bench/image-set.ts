import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ThreadPool } from '../src/compute/pool.ts';
import { HealthImagingSource } from '../src/connectors/healthimaging/healthimaging-source.ts';
import { SeriesToVolume } from '../src/pipeline/operators/series-to-volume.ts';
import { PhaseClock } from '../src/pipeline/phase-clock.ts';
import { BenchStore } from './bench-store.ts';
import { interleave } from './interleave.ts';
import { JsonProcess } from './json-process.ts';
import { phantomSeries } from './phantom-series.ts';
import { type BenchResult, median, timeRow } from './table.ts';

const frames = 100;

/**
 * An image set of 100 CT frames in the local store → one volume in memory: our source and decoder in a warm process with a
 * warm thread pool, against AHItoDICOMInterface in a warm process. Both read from the same store; volumes are compared.
 */
export async function imageSet(rounds: number): Promise<BenchResult> {
  const store = await new BenchStore().start();
  const series = join(store.files, 'ct');
  await phantomSeries(series, frames);
  const id = store.importFolder(series);
  const script = fileURLToPath(new URL('./ahi_reference.py', import.meta.url));
  const reference = new JsonProcess(process.env.MAP_ENDPOINT_PYTHON ?? 'python3', [script, store.url]);
  const pool = new ThreadPool(availableParallelism());
  const source = new HealthImagingSource({
    endpoint: store.url,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxSockets: 16,
  });
  const digests = new Set<string>();
  const ours = async (): Promise<number> => {
    const signal = new AbortController().signal;
    const from = performance.now();
    const loaded = await source.open(id, { signal });
    const [first] = loaded.kind === 'dicom' ? loaded.series : [];
    if (!first) throw new Error('the image set holds no series');
    const context = { signal, pool, scratchDir: store.root, clock: new PhaseClock(), warn: () => undefined };
    const { image } = await new SeriesToVolume().compute({ selected: { kind: 'dicom', series: first } }, context);
    const ms = performance.now() - from;
    const { data } = image.volume;
    digests.add(
      createHash('sha256')
        .update(new Uint8Array(Int16Array.from(data).buffer)) // the values, whatever type holds them
        .digest('hex'),
    );
    return ms;
  };
  const theirs = async (): Promise<number> => {
    const answer = await reference.ask(id);
    digests.add(answer.sha256 as string);
    return answer.total as number;
  };
  try {
    const times = await interleave(
      [
        { name: 'map-endpoint', run: ours },
        { name: 'AHItoDICOMInterface', run: theirs },
      ],
      rounds,
    );
    if (digests.size !== 1) throw new Error('the volumes differ');
    const [a, b] = ['map-endpoint', 'AHItoDICOMInterface'].map((name) => times.get(name) ?? []) as [number[], number[]];
    return {
      title: `Image set of ${frames} CT frames 512×512 → volume (same bytes on both sides)`,
      rows: [
        timeRow('map-endpoint', a),
        timeRow('AHItoDICOMInterface 0.1.3.4', b, 'spawns its processes anew at each call'),
        { name: 'times faster', value: median(b) / median(a), unit: '×', note: 'aim: at least 10' },
      ],
    };
  } finally {
    await reference.close();
    await source.close();
    await pool.close();
    await store.stop();
  }
}
