/**
 * Runs the benchmarks named on the command line (default: all) and prints their tables as Markdown, the figures that we
 * lose as well. Needs a quiet machine, ../shared, MAP_ENDPOINT_PYTHON (test/interop/requirements.txt),
 * MAP_ENDPOINT_MONAI_PYTHON (bench/requirements.txt) and, for the model servers of others, MAP_ENDPOINT_PEERS_PYTHON.
 *
 *     npm run bench [-- image-set whole-request --rounds 5]
 */
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { type BenchResult, formatResult } from './table.ts';

const benches: Record<string, (rounds: number) => Promise<BenchResult>> = {
  'image-set': async (rounds) => (await import('./image-set.ts')).imageSet(rounds),
  'model-load': async (rounds) => (await import('./model-load.ts')).modelLoad(rounds),
  peers: async (rounds) => (await import('./peers.ts')).peers(rounds),
  'sagemaker-zipf': async (rounds) => (await import('./sagemaker-zipf.ts')).sagemakerZipf(rounds),
  'zipf-peers': async (rounds) => (await import('./zipf-peers.ts')).zipfPeers(rounds),
  'whole-request': async (rounds) => (await import('./whole-request.ts')).wholeRequest(rounds),
};

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '5' } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
const names = positionals.length > 0 ? positionals : Object.keys(benches);
const unknown = names.filter((name) => !(name in benches));
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write(`usage: npm run bench -- [${Object.keys(benches).join(' | ')} …] [--rounds N]\n`);
  process.exit(2);
}

const [cpu] = cpus();
process.stdout.write(
  `${cpus().length} × ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}; medians of ${rounds} interleaved rounds\n\n`,
);
for (const name of names) {
  process.stderr.write(`${name}\n`);
  const result = await (benches[name] as (rounds: number) => Promise<BenchResult>)(rounds);
  process.stdout.write(`${formatResult(result)}\n`);
}
