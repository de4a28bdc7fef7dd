import { afterAll, describe, expect, it } from 'vitest';
import { KillCampaign } from '../../support/local-store/kill-campaign.ts';
import { scratchFolder } from '../../support/local-store/running-store.ts';

const scratch = scratchFolder();
const campaign = new KillCampaign(scratch.path);

afterAll(async () => {
  await campaign.kill();
  scratch.remove();
});

describe('a store that is killed during imports and updates', () => {
  // 200 kills: npm run campaign:store-faults
  it('loses nothing acknowledged, shows no half image set, and finishes what it had begun (10 kills)', {
    timeout: 180_000,
  }, async () => {
    const report = await campaign.run(10);
    expect(report).toMatchObject({
      kills: 10,
      jobs: 10,
      imageSets: 11,
      lostJobs: 0,
      lostUpdates: 0,
      halfImageSets: 0,
      doubledImageSets: 0,
      leftOvers: 0,
    });
    expect(report.framesChecked).toBeGreaterThan(11 * 8);
    expect(report.updates).toBeGreaterThan(0);
    expect(report.killsDuringImports).toBeGreaterThan(0);
  });
});
