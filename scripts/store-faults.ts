/**
 * Kills a store at random moments of imports and updates (default 200 times) and writes what it found to
 * `docs/store-faults.md`: `npm run campaign:store-faults [-- KILLS]`. Ends with 1 when anything was lost.
 */
import { writeFileSync } from 'node:fs';
import { KillCampaign } from '../test/support/local-store/kill-campaign.ts';
import { scratchFolder } from '../test/support/local-store/running-store.ts';
import { storeFaultsDigest, storeFaultsPath } from '../test/support/local-store/store-faults-digest.ts';

const kills = Number(process.argv[2] ?? 200);
const scratch = scratchFolder();
const campaign = new KillCampaign(scratch.path);
const started = Date.now();
const digest = storeFaultsDigest();
try {
  const report = await campaign.run(kills);
  const minutes = ((Date.now() - started) / 60_000).toFixed(1);
  const rows = Object.entries(report).map(([name, value]) => {
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    return `| ${words} | ${value} |`;
  });
  const page = [
    '# Faults of the store: kills during imports and updates',
    '',
    `Written by \`npm run campaign:store-faults\` on ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${minutes} minutes.`,
    `Digest of the code: ${digest}.`,
    '',
    'Each time an import job of two series was begun and an image set was updated, the process of the store was ended by',
    'SIGKILL 0 to 400 ms later and started again on its folder. Lost: a job or an update that had been answered and was not',
    'there. Half: an image set without one of its instances, or with a frame that is absent or differs from its checksum.',
    '',
    '| what | count |',
    '|---|---|',
    ...rows,
    '',
  ];
  if (storeFaultsDigest() !== digest) throw new Error('The code has changed while the campaign ran: run it again.');
  writeFileSync(storeFaultsPath, page.join('\n'));
  const { lostJobs, lostUpdates, halfImageSets, doubledImageSets, leftOvers } = report;
  process.exitCode = lostJobs + lostUpdates + halfImageSets + doubledImageSets + leftOvers === 0 ? 0 : 1;
} finally {
  await campaign.kill();
  scratch.remove();
}
