import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { storeFaultsDigest, storeFaultsPath } from '../../support/local-store/store-faults-digest.ts';

it('docs/store-faults.md was written by the store as it is, and tells of nothing lost', () => {
  const page = readFileSync(storeFaultsPath, 'utf8');
  const digest = /^Digest of the code: ([0-9a-f]{32})\.$/m.exec(page)?.[1];
  expect(digest, 'the store changed since: run npm run campaign:store-faults').toBe(storeFaultsDigest());
  expect(page).toContain('| kills | 200 |');
  for (const what of ['lost jobs', 'lost updates', 'half image sets', 'doubled image sets', 'left overs']) {
    expect(page).toContain(`| ${what} | 0 |`);
  }
});
