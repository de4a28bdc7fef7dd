import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The code that the table speaks of. */
export const coveredFolders = ['src/monai', 'src/imaging', 'src/compute/kernels'] as const;

/** The table. */
export const tablePath: string = join(root, 'docs/parity.md');

/**
 * Digest of the covered code's content: a commit's id would change with every rebase, and with every commit that touches
 * something else.
 */
export const coveredDigest = (): string => digestOf(coveredFolders, '.ts');

/** Digest of the campaign itself: images, judge, plan and limits. */
export const campaignDigest = (): string => digestOf(['test/parity/campaign'], '');

function digestOf(folders: readonly string[], ending: string): string {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith(ending) && /\.(ts|py)$/.test(file))
      .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
      .sort();
    for (const file of files) {
      const content = createHash('sha256')
        .update(readFileSync(join(root, file)))
        .digest('hex');
      hash.update(`${content}  ${file}\n`);
    }
  }
  return hash.digest('hex').slice(0, 32);
}
