import { join } from 'node:path';
import { digestOf, repositoryRoot } from '../../support/code-digest.ts';

/** The code that the table speaks of. */
export const coveredFolders = ['src/monai', 'src/imaging', 'src/compute/kernels'] as const;

/** The table. */
export const tablePath: string = join(repositoryRoot, 'docs/parity.md');

export const coveredDigest = (): string => digestOf(coveredFolders, '.ts');

/** Digest of the campaign itself: images, judge, plan and limits. */
export const campaignDigest = (): string => digestOf(['test/parity/campaign'], '');
