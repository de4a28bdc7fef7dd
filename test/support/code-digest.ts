import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot: string = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Digest of the content of code, by which a table that a long campaign wrote tells what code it speaks of: a commit's id
 * would change with every rebase, and with every commit that touches something else.
 *
 * @param paths - folders, with all that is below them, and files; from the root of the repository
 * @param ending - only files of folders that end so (and are TypeScript or Python)
 */
export function digestOf(paths: readonly string[], ending: string): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    for (const file of filesOf(path, ending)) {
      const content = createHash('sha256')
        .update(readFileSync(join(repositoryRoot, file)))
        .digest('hex');
      hash.update(`${content}  ${file}\n`);
    }
  }
  return hash.digest('hex').slice(0, 32);
}

function filesOf(path: string, ending: string): string[] {
  if (statSync(join(repositoryRoot, path)).isFile()) return [path];
  return readdirSync(join(repositoryRoot, path), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending) && /\.(ts|py)$/.test(file))
    .map((file) => `${path}/${file.replaceAll('\\', '/')}`)
    .sort();
}
