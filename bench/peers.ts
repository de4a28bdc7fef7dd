import { setTimeout as sleep } from 'node:timers/promises';
import { loadTest, quantile, send, sendWell, untilWell } from './peers/load-client.ts';
import { startMapEndpoint } from './peers/map-endpoint.ts';
import { type Peer, treePssMegabytes } from './peers/peer.ts';
import { startMultiModelServer, startTorchServe } from './peers/python-peers.ts';
import { type BenchResult, type BenchRow, median } from './table.ts';

const loadsInARow = Number(process.env.PEERS_LOADS ?? 20);
const concurrencies = [1, 8, 64];
const requests = Number(process.env.PEERS_REQUESTS ?? 2000);
/** Models that memory is measured at; TorchServe's need 300 MB each. */
const memoryCounts = (process.env.PEERS_MODELS ?? '1,10,50').split(',').map(Number);
/** Servers to measure, by their names in lower case; all without it. */
const only = process.env.PEERS_ONLY?.toLowerCase().split(',');
const recoverWithinMs = 20_000;

/** Figures of one peer, by their names. */
type Figures = Map<string, { readonly values: number[]; readonly unit: string }>;

/**
 * Identity models of 1 KB, one worker a model, warm, the servers in turn and one at a time: latency and throughput,
 * cold loads, memory, recovery. Peers are found beside MAP_ENDPOINT_PEERS_PYTHON (multi-model-server==1.1.11,
 * torchserve==0.12.0, pyyaml, psutil and torch; Java 17 on the path); one that isn't installed is left out, and named.
 * Memory is that of the whole process tree beyond what it was without a model, so what a server grew under load counts.
 */
export async function peers(rounds: number): Promise<BenchResult> {
  const python = process.env.MAP_ENDPOINT_PEERS_PYTHON;
  const most = Math.max(loadsInARow + 1, ...memoryCounts);
  const starts: [string, () => Promise<Peer | undefined>][] = [
    ['map-endpoint', () => startMapEndpoint(most)],
    ['Multi-Model-Server', () => startMultiModelServer(python)],
    ['TorchServe', () => startTorchServe(python)],
  ];
  const wanted = starts.filter(([name]) => only?.includes(name.toLowerCase()) ?? true);
  const all = new Map<string, Figures>();
  const missing = new Set<string>();
  for (let round = 1; round <= rounds; round++) {
    for (const [name, start] of round % 2 === 1 ? wanted : [...wanted].reverse()) {
      const peer = missing.has(name) ? undefined : await start();
      if (!peer) {
        missing.add(name);
        continue;
      }
      process.stderr.write(`  round ${round}: ${peer.name}\n`);
      const figures = all.get(peer.name) ?? new Map();
      all.set(peer.name, figures);
      try {
        await measure(peer, figures);
      } finally {
        await peer.stop();
      }
    }
  }
  const left = [...missing].map(
    (name): BenchRow => ({
      name,
      value: 0,
      unit: '',
      note: 'not installed: left out',
    }),
  );
  return { title: 'Identity models of 1 KB against other model servers', rows: [...rowsOf(all), ...left] };
}

async function measure(peer: Peer, figures: Figures): Promise<void> {
  const note = (name: string, unit: string, value: number): void => {
    const figure = figures.get(name) ?? { values: [], unit };
    figure.values.push(value);
    figures.set(name, figure);
  };
  await sleep(1500); // a spare that is being started comes to rest
  const baseMegabytes = treePssMegabytes(peer.pid);
  let loaded = 0;
  const load = async (): Promise<number> => {
    const from = performance.now();
    await peer.load(loaded);
    await sendWell(peer.call(loaded));
    loaded++;
    return performance.now() - from;
  };
  note('cold load and first answer, first', 'ms', await load());
  await warm(peer);
  for (const concurrency of concurrencies) {
    const { timesMs, perSecond } = await loadTest(peer.call(0), requests, concurrency, (body) => peer.check(body));
    note(`p50 at ${concurrency}`, 'ms', quantile(timesMs, 0.5));
    note(`p99 at ${concurrency}`, 'ms', quantile(timesMs, 0.99));
    note(`requests a second at ${concurrency}`, '/s', perSecond);
  }
  const victims = peer.workers();
  for (const pid of victims) process.kill(pid, 'SIGKILL');
  note(
    'worker SIGKILLed, to the next 200',
    'ms',
    victims.length > 0 ? await untilWell(peer.call(0), recoverWithinMs) : Infinity,
  );
  await sleep(1500);
  const inARow: number[] = [];
  for (const count of memoryCounts) {
    while (loaded < count) inARow.push(await load());
    await sleep(1000);
    note(`memory a model at ${count}`, 'MB PSS', (treePssMegabytes(peer.pid) - baseMegabytes) / count);
  }
  while (inARow.length < loadsInARow) inARow.push(await load());
  note('cold load and first answer, in a row', 'ms', median(inARow.slice(0, loadsInARow)));
}

/** Compilers at run time, Java's and V8's, have settled only after some thousands of requests. */
async function warm(peer: Peer): Promise<void> {
  await loadTest(peer.call(0), 3 * requests, 8, (body) => peer.check(body));
  const { status } = await send(peer.call(0));
  if (status !== 200) throw new Error(`${peer.name} is not well after its warm-up`);
}

/** A row a figure and peer; ours tells how it compares with the better of the others, also where it loses. */
function rowsOf(all: Map<string, Figures>): BenchRow[] {
  const names = [...new Set([...all.values()].flatMap((figures) => [...figures.keys()]))];
  return names.flatMap((name) =>
    [...all].flatMap(([peer, figures]): BenchRow[] => {
      const figure = figures.get(name);
      if (!figure) return [];
      const value = median(figure.values);
      const row = { name: `${name}: ${peer}`, value, unit: figure.unit };
      const others = [...all].filter(([other]) => other !== 'map-endpoint').flatMap(([, f]) => f.get(name) ?? []);
      if (peer !== 'map-endpoint' || others.length === 0) return [row];
      const moreIsBetter = figure.unit === '/s';
      const medians = others.map(({ values }) => median(values));
      const best = moreIsBetter ? Math.max(...medians) : Math.min(...medians);
      const isWon = moreIsBetter ? value >= best : value <= best;
      return [{ ...row, note: `${isWon ? 'won' : 'LOST'}: ${(value / best).toFixed(2)} × the better peer` }];
    }),
  );
}
