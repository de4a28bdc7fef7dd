import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchStore } from './bench-store.ts';
import { interleave } from './interleave.ts';
import { JsonProcess } from './json-process.ts';
import { LatencyProxy } from './latency-proxy.ts';
import { phantomSeries } from './phantom-series.ts';
import { type BenchResult, type BenchRow, median, timeRow } from './table.ts';

const frames = 100;
const latencyMs = 20;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** What a reading process answers; the reference has no memory figures. */
interface ReadAnswer {
  readonly total: number;
  readonly sha256: string;
  readonly peakBytes: number;
  readonly volumeBytes: number;
}

/**
 * An image set of 100 CT frames in the local store → one volume in memory: our source and operator in a warm process with
 * a warm thread pool, against AHItoDICOMInterface in a warm process. Both read from the same store, at once and through
 * a proxy that makes every call 20 ms longer; volumes are compared. Besides: ours from frames that are in memory already,
 * and the memory of a process that reads one image set.
 */
export async function imageSet(rounds: number): Promise<BenchResult> {
  const store = await new BenchStore().start();
  const far = await LatencyProxy.start(store.url, latencyMs);
  const readers: JsonProcess[] = [];
  const digests = new Set<string>();
  const ours = (url: string) => started(new JsonProcess(process.execPath, [file('./image-set-reader-child.mjs'), url]));
  const theirs = (url: string) =>
    started(new JsonProcess(process.env.MAP_ENDPOINT_PYTHON ?? 'python3', [file('./ahi_reference.py'), url]));
  const started = (reader: JsonProcess): JsonProcess => {
    readers.push(reader);
    return reader;
  };
  try {
    const series = join(store.files, 'ct');
    await phantomSeries(series, frames);
    const id = store.importFolder(series);
    const ask = async (reader: JsonProcess, from: 'store' | 'memory' = 'store'): Promise<ReadAnswer> => {
      const answer = (await reader.ask({ ...id, from })) as unknown as ReadAnswer;
      digests.add(answer.sha256);
      return answer;
    };
    const once = await ask(ours(store.url));
    const near = ours(store.url);
    const contender = (name: string, reader: JsonProcess, from?: 'memory') => ({
      name,
      run: async () => (await ask(reader, from)).total,
    });
    const times = await interleave(
      [
        contender('map-endpoint', near),
        contender('from memory', near, 'memory'),
        contender('AHItoDICOMInterface', theirs(store.url)),
        contender('map-endpoint, far', ours(far.url)),
        contender('AHItoDICOMInterface, far', theirs(far.url)),
      ],
      rounds,
    );
    if (digests.size !== 1) throw new Error('the volumes differ');
    return {
      title: `Image set of ${frames} CT frames 512×512 → volume (same bytes on both sides)`,
      rows: rowsOf((name) => times.get(name) ?? [], once),
    };
  } finally {
    for (const reader of readers) await reader.close();
    await far.stop();
    await store.stop();
  }
}

function rowsOf(timesOf: (name: string) => number[], once: ReadAnswer): BenchRow[] {
  const [ours, memory, theirs] = ['map-endpoint', 'from memory', 'AHItoDICOMInterface'].map(timesOf) as [
    number[],
    number[],
    number[],
  ];
  const [oursFar, theirsFar] = ['map-endpoint, far', 'AHItoDICOMInterface, far'].map(timesOf) as [number[], number[]];
  const beside = (once.peakBytes - once.volumeBytes) / 2 ** 20;
  const faster = (a: readonly number[], b: readonly number[]) => median(b) / median(a);
  return [
    timeRow('map-endpoint', ours),
    timeRow('AHItoDICOMInterface 0.1.3.4', theirs, 'spawns its processes anew at each call'),
    { name: 'times faster', value: faster(ours, theirs), unit: '×', note: 'aim: at least 10' },
    timeRow(`map-endpoint, ${latencyMs} ms a call longer`, oursFar),
    timeRow(`AHItoDICOMInterface, ${latencyMs} ms a call longer`, theirsFar),
    { name: 'times faster', value: faster(oursFar, theirsFar), unit: '×', note: 'aim: at least 10' },
    timeRow('the same frames, in memory already', memory, 'decoded and checked into a volume on all cores'),
    {
      name: 'from the store, of that',
      value: faster(memory, ours),
      unit: '×',
      note: 'aim: at most 1.3; client and store share the cores with the decoding',
    },
    {
      name: 'memory beside the volume',
      value: beside,
      unit: 'MiB',
      note: `peak of a process that reads one image set, volume of ${(once.volumeBytes / 2 ** 20).toFixed(0)} MiB; aim: at most 150`,
    },
  ];
}
