import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Makes another bundle of the demo's: the same network with windows that overlap by a quarter, for a faster and slightly
 * rougher answer. Its files differ, so to the endpoint it is a model of its own.
 */
export async function makeSecondModel(bundleDir: string, targetDir: string): Promise<void> {
  await cp(bundleDir, targetDir, { recursive: true });
  await change(join(targetDir, 'configs', 'inference.json'), (config) => {
    (config.inferer as Record<string, unknown>).overlap = 0.25;
  });
  await change(join(targetDir, 'map.json'), (map) => {
    map.name = 'spleen_ct_quick';
  });
}

async function change(path: string, edit: (document: Record<string, unknown>) => void): Promise<void> {
  const document = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  edit(document);
  await writeFile(path, `${JSON.stringify(document, null, 2)}\n`);
}
