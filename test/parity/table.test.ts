import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { coveredDigest, coveredFolders, tablePath } from './campaign/digest.ts';
import { plan } from './campaign/plan.ts';

it('docs/parity.md was written by the code as it is, and tells of no difference', () => {
  const table = readFileSync(tablePath, 'utf8');
  const digest = /^- digest of the code: ([0-9a-f]{32})$/m.exec(table)?.[1];
  expect(digest, `${coveredFolders.join(', ')} changed since: run npm run campaign:parity`).toBe(coveredDigest());
  for (const { name } of plan) expect(table).toContain(`| ${name} |`);
  expect(table.split('\n').filter((line) => line.includes('**'))).toEqual([]);
});
