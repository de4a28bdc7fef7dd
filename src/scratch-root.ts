import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Folder of this process' temporary files: request scratch folders, sockets. It carries the process id, so that a next
 * start removes what a killed one left, and two servers on one data folder keep apart.
 */
export class ScratchRoot {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async open(dataDir: string): Promise<ScratchRoot> {
    const parent = join(dataDir, 'run');
    await mkdir(parent, { recursive: true, mode: 0o700 });
    for (const name of await readdir(parent)) {
      if (!isAlive(Number(name))) await rm(join(parent, name), { recursive: true, force: true });
    }
    const dir = join(parent, String(process.pid));
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { mode: 0o700 });
    return new ScratchRoot(dir);
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM';
  }
}
