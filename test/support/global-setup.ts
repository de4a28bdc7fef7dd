import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sharedDir } from './shared-data.ts';

/** Builds `dist` once: worker threads and child processes load compiled files. */
export default function setup(): void {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  if (!existsSync(sharedDir)) {
    process.stderr.write('note: ../shared is absent: the tests on its data are skipped and counted as skipped\n');
  }
}
