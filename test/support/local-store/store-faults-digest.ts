import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, repositoryRoot } from '../code-digest.ts';

/** The page that the campaign of kills writes. */
export const storeFaultsPath: string = join(repositoryRoot, 'docs/store-faults.md');

const store = 'src/local-store';
/** Folders of the store that only answer: what they do changes nothing on the disk. */
const answering = ['dicomweb', 'http'];

/** The code that the page speaks of: what writes on the disk, and the campaign itself. */
export const storeFaultsCode: readonly string[] = [
  ...readdirSync(join(repositoryRoot, store))
    .filter((name) => !answering.includes(name))
    .sort()
    .map((name) => `${store}/${name}`),
  `${store}/dicomweb/store-instances.ts`,
  'src/durable-files.ts',
  'test/support/local-store/kill-campaign.ts',
];

export const storeFaultsDigest = (): string => digestOf(storeFaultsCode, '.ts');
