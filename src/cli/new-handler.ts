import { constants } from 'node:fs';
import { access, copyFile, mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from './exit-codes.ts';
import type { NewHandlerFlags } from './handler-forms.ts';
import { createTerminal } from './terminal.ts';

const samplesDir = fileURLToPath(new URL('../../samples/handlers/', import.meta.url));
const handlerPath = 'code/handler.mjs';
const mapPath = 'map.json';

/**
 * Writes the files of a new handler; nothing is written when its code is there already. A `map.json` that is there is
 * the bundle's own, and stays.
 *
 * @returns the files written, relative to the folder
 * @throws UsageError when there is a handler, or the folder is none
 */
export async function writeHandler(dir: string, form: NewHandlerFlags['form']): Promise<string[]> {
  if (await exists(join(dir, handlerPath))) {
    throw new UsageError(`"${dir}" has a ${handlerPath} already: it is not overwritten.`);
  }
  const written = (await exists(join(dir, mapPath))) ? [handlerPath] : [handlerPath, mapPath];
  try {
    for (const path of written) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      const from = path === handlerPath ? join(samplesDir, form, path) : join(samplesDir, path);
      await copyFile(from, join(dir, path), constants.COPYFILE_EXCL);
    }
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw thrown;
    throw new UsageError(`"${dir}" can't take a handler: a file of its name is in the way.`);
  }
  return written;
}

/** `map-endpoint new-handler`. */
export async function runNewHandler(dir: string, flags: NewHandlerFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const files = await writeHandler(dir, flags.form);
  terminal.json({ dir: resolve(dir), files });
  for (const file of files) terminal.line(join(dir, file));
  terminal.line(`next: map-endpoint pack ${dir} -o models/NAME.tar.gz`);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
