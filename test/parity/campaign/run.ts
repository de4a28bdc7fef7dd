/** `npm run campaign:parity [-- --only NAME[,NAME…]] [--table] [--fresh]`: every bundle on every image, and docs/parity.md. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type CampaignRow, runBundle } from './campaign.ts';
import { campaignDigest, coveredDigest, tablePath } from './digest.ts';
import { Judge } from './judge.ts';
import { OurSide } from './ours.ts';
import { plan } from './plan.ts';
import { formatTable } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    table: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
  },
});
const only = values.only?.split(',');
const unknown = only?.filter((name) => !plan.some((bundle) => bundle.name === name)) ?? [];
if (unknown.length > 0) throw new Error(`The plan has no bundle ${unknown.join(', ')}.`);

/** Where `.ci/run` keeps MONAI's answers, and the Python that it makes of requirements.txt. */
const cache = fileURLToPath(new URL('../../../.cache/ci', import.meta.url));
const requirements = readFileSync(new URL('../requirements.txt', import.meta.url));
const venv = `venv-${createHash('sha256').update(requirements).digest('hex').slice(0, 16)}`;
const python = process.env.MAP_ENDPOINT_MONAI_PYTHON ?? join(cache, venv, 'bin/python');
if (!existsSync(python))
  throw new Error('MAP_ENDPOINT_MONAI_PYTHON must name a Python with test/parity/requirements.txt.');

const digest = coveredDigest();
const goldens = process.env.MAP_ENDPOINT_GOLDENS ?? join(cache, 'goldens');
/** Rows of a bundle that this very code has made: a campaign that was ended goes on, and parts may run side by side. */
const rowsPath = (bundle: string): string =>
  join(goldens, `campaign-rows-${digest}-${campaignDigest()}-${bundle}.json`);
const judge = new Judge(goldens, python);
const ours = await OurSide.start();
const scratch = mkdtempSync(join(tmpdir(), 'parity-campaign-'));
const rows: CampaignRow[] = [];
try {
  for (const planned of plan.filter(({ name }) => only?.includes(name) ?? true)) {
    const from = performance.now();
    if (existsSync(rowsPath(planned.name)) && !values.fresh) {
      rows.push(...(JSON.parse(readFileSync(rowsPath(planned.name), 'utf8')) as CampaignRow[]));
      continue;
    }
    const before = rows.length;
    for await (const row of runBundle(planned, scratch, judge, ours)) {
      rows.push(row);
      const verdict =
        row.refused !== undefined
          ? `refused: ${row.refused}`
          : row.faults.join('; ') || `equal${row.judgedBy ? ` in ${row.judgedBy}` : ''}`;
      process.stdout.write(`${row.bundle}, ${row.image}: ${verdict}\n`);
    }
    if (coveredDigest() === digest) writeFileSync(rowsPath(planned.name), JSON.stringify(rows.slice(before)));
    process.stdout.write(`${planned.name}: ${((performance.now() - from) / 1000).toFixed(1)} s\n`);
  }
} finally {
  await ours.close();
  await judge.close();
  rmSync(scratch, { recursive: true, force: true });
}
if (coveredDigest() !== digest) throw new Error('The code has changed while the campaign ran: run it again.');
if (!only || values.table) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const head = { date: new Date().toISOString().slice(0, 10), commit, digest };
  writeFileSync(
    tablePath,
    formatTable(
      rows,
      head,
      plan.map(({ name }) => name),
    ),
  );
}
process.exitCode = rows.some(({ faults }) => faults.length > 0) ? 1 : 0;
