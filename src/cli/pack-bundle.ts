import { mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { checkTargetModel } from '../api/target-model.ts';
import { digestOfFiles, filesUnder } from '../archive/digest.ts';
import { findBundle } from '../archive/layout.ts';
import { packBundle as writeArchive } from '../archive/pack.ts';
import { readTree } from '../archive/tree.ts';
import { EndpointError } from '../errors.ts';
import { archiveLimits } from './archive-limits.ts';
import { type BundleDescription, describeBundle, describeHandler } from './bundle-description.ts';
import { UsageError } from './exit-codes.ts';
import { createTerminal } from './terminal.ts';

/** What `map-endpoint pack` was told. */
export interface PackFlags {
  readonly output: string;
  readonly json: boolean;
}

/**
 * Packs a bundle that this program can run.
 *
 * @param output - `NAME.tar.gz`; its folder is made, and it appears whole or not at all
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`
 */
export async function packBundle(bundleDir: string, output: string): Promise<BundleDescription> {
  const { signal } = new AbortController();
  const tree = await readFolder(bundleDir, signal);
  const { root, hasHandler } = findBundle(
    tree.map(({ path }) => path),
    { allowCustomCode: true }, // to pack code is not to run it
  );
  const sha256 = digestOfFiles(filesUnder(tree, root));
  const describe = hasHandler ? describeHandler : describeBundle;
  const described = await describe(join(bundleDir, root), { sha256, sizeBytes: 0 });
  if (described.refusal !== undefined) throw new EndpointError('unsupported_bundle', described.refusal);
  await mkdir(dirname(resolve(output)), { recursive: true });
  const packed = await writeArchive(bundleDir, resolve(output), archiveLimits, signal);
  return { ...described, sha256: packed.digest, sizeBytes: packed.sizeBytes };
}

/** `map-endpoint pack`. */
export async function runPack(bundleDir: string, flags: PackFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  if (!flags.output.endsWith('.tar.gz')) throw new UsageError('--output takes a file that ends in .tar.gz.');
  checkTargetModel(basename(flags.output));
  terminal.progress('checking and packing');
  const packed = await packBundle(bundleDir, flags.output);
  terminal.json({ file: resolve(flags.output), ...packed });
  terminal.line(`${flags.output}: ${packed.sizeBytes} bytes, model ${packed.sha256.slice(0, 16)}`);
  if (packed.hasHandler) {
    terminal.line('has code of its own: served where ALLOW_CUSTOM_CODE=true is set');
    return;
  }
  terminal.line(`serves ${packed.segments.map(({ label }) => label).join(', ') || packed.outputs[0]?.key}`);
}

async function readFolder(dir: string, signal: AbortSignal) {
  try {
    return await readTree(dir, archiveLimits, signal);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw thrown;
    throw new EndpointError('invalid_archive', `There is no folder "${dir}".`, { cause: thrown });
  }
}
