import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entriesOf, tarGz } from '../test/support/archives.ts';
import { startTestContainer } from '../test/support/endpoint.ts';
import { type Invoked, SageMakerSimulator, type SimulatorCounts } from '../test/support/sagemaker-simulator.ts';
import { withClients, zipfSequence } from '../test/support/zipf.ts';
import { quantile } from './peers/load-client.ts';
import { identityBundle, inferHead } from './peers/map-endpoint.ts';
import { payload } from './peers/peer.ts';
import { identityHandler, startMultiModelServer } from './peers/python-peers.ts';
import { type BenchResult, type BenchRow, median } from './table.ts';

const modelCount = Number(process.env.ZIPF_MODELS ?? 50);
const room = Number(process.env.ZIPF_ROOM ?? 10);
const requestsARound = Number(process.env.ZIPF_REQUESTS ?? 500);
const clients = 4;

/** A server in SageMaker's multi-model mode, and how one of its identity models is packed and called. */
interface Served {
  readonly name: string;
  readonly url: string;
  readonly files: Readonly<Record<string, Buffer>>;
  readonly contentType: string;
  readonly body: Uint8Array;
  stop(): Promise<void> | void;
}

interface Outcome {
  readonly invoked: Invoked[];
  readonly counts: SimulatorCounts;
}

/**
 * Zipf traffic over more models than there is room for, made by the same simulator of SageMaker in the same order, on us
 * and on Multi-Model-Server, one after the other, in turns. The simulator keeps as many models loaded as there is room
 * for, and unloads the least recently used. Needs the right to make /opt/ml.
 */
export async function zipfPeers(rounds: number): Promise<BenchResult> {
  const modelsRoot = `/opt/ml/models/map-endpoint-bench-${process.pid}`;
  const starts = [() => startOurs(modelsRoot), startTheirs];
  const outcomes = new Map<string, Outcome[]>();
  for (let round = 0; round < rounds; round++) {
    for (const start of round % 2 === 0 ? starts : [...starts].reverse()) {
      const served = await start();
      if (!served) continue;
      process.stderr.write(`  round ${round + 1}: ${served.name}\n`);
      try {
        outcomes.set(served.name, [...(outcomes.get(served.name) ?? []), await drive(served, modelsRoot, round)]);
      } finally {
        await served.stop();
        rmSync(modelsRoot, { recursive: true, force: true });
      }
    }
  }
  const peers = [...outcomes].flatMap(([name, own]) => rowsOf(name, own));
  const note = 'not installed beside MAP_ENDPOINT_PEERS_PYTHON: left out';
  const missing: BenchRow[] = outcomes.size > 1 ? [] : [{ name: 'Multi-Model-Server', value: 0, unit: '', note }];
  return {
    title: `Zipf traffic over ${modelCount} models of 1 KB, room for ${room}, ${clients} clients, ${requestsARound} requests a round`,
    rows: [...peers, ...missing],
  };
}

async function startOurs(modelsRoot: string): Promise<Served> {
  const container = await startTestContainer({
    SAGEMAKER_MULTI_MODEL: 'true',
    DATA_DIR: join(modelsRoot, 'data'),
    LOG_LEVEL: 'error',
  });
  return {
    name: 'map-endpoint',
    url: container.url,
    files: identityBundle,
    contentType: `application/vnd.sagemaker-triton.binary+json;json-header-size=${inferHead.length}`,
    body: Buffer.concat([inferHead, payload]),
    stop: () => void container.process.kill('SIGKILL'),
  };
}

async function startTheirs(): Promise<Served | undefined> {
  const peer = await startMultiModelServer(process.env.MAP_ENDPOINT_PEERS_PYTHON);
  return (
    peer && {
      name: peer.name,
      url: peer.url,
      files: { 'identity.py': Buffer.from(identityHandler) },
      contentType: 'application/octet-stream',
      body: payload,
      stop: () => peer.stop(),
    }
  );
}

async function drive({ url, files, contentType, body }: Served, modelsRoot: string, round: number): Promise<Outcome> {
  const archivesDir = mkdtempSync(join(tmpdir(), 'bench-zipf-'));
  mkdirSync(modelsRoot, { recursive: true });
  const archive = tarGz(entriesOf(files));
  for (let n = 0; n < modelCount; n++) writeFileSync(join(archivesDir, `m${n}.tar.gz`), archive);
  const simulator = new SageMakerSimulator({ url, archivesDir, modelsRoot, room });
  const invoked: Invoked[] = [];
  try {
    await withClients(clients, zipfSequence(modelCount, requestsARound, round + 1), async (n) => {
      const one = await simulator.invoke(`m${n}.tar.gz`, body, { 'content-type': contentType });
      if (one.status !== 200) throw new Error(`a request was lost: ${one.status} ${one.body.toString()}`);
      if (!one.body.subarray(-payload.length).equals(payload)) throw new Error('an answer is another than it must be');
      invoked.push(one);
    });
    await simulator.close();
  } finally {
    rmSync(archivesDir, { recursive: true, force: true });
  }
  return { invoked, counts: simulator.counts };
}

function rowsOf(name: string, outcomes: readonly Outcome[]): BenchRow[] {
  const all = outcomes.flatMap(({ invoked }) => invoked);
  const times = (hit: boolean): number[] => all.filter((one) => one.hit === hit).map(({ ms }) => ms);
  const sorted = all.map(({ ms }) => ms).sort((a, b) => a - b);
  const sum = (of: (counts: SimulatorCounts) => number): number =>
    outcomes.reduce((total, { counts }) => total + of(counts), 0);
  const note = `${sum(({ loads }) => loads)} loads, ${sum(({ noRoom }) => noRoom)} times 507, ${sum(({ lost }) => lost)} lost`;
  return [
    { name: `hit rate: ${name}`, value: (100 * times(true).length) / all.length, unit: '%', note },
    { name: `p50, model loaded: ${name}`, value: median(times(true)), unit: 'ms' },
    { name: `p50, model to be loaded: ${name}`, value: median(times(false)), unit: 'ms' },
    { name: `p50: ${name}`, value: quantile(sorted, 0.5), unit: 'ms' },
    { name: `p99: ${name}`, value: quantile(sorted, 0.99), unit: 'ms' },
  ];
}
