import { mkdir } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { checkTargetModel } from '../api/target-model.ts';
import { type PlacedBundle, placeBundles, packBundles as writeArchive } from '../archive/pack.ts';
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

/** A written archive. */
interface Packed {
  readonly sizeBytes: number;
  readonly bundles: readonly BundleDescription[];
}

/**
 * Packs bundles that this program can run.
 *
 * @param dirs - one bundle's folder, or one with `bundles/<model>/…`, or several, each a model by its name
 * @param output - `NAME.tar.gz`; its folder is made, and it appears whole or not at all
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`
 */
export async function packBundles(dirs: readonly string[], output: string): Promise<Packed> {
  const { signal } = new AbortController();
  const placed = await placeFolders(dirs, signal);
  const bundles: BundleDescription[] = [];
  for (const { name, dir, files, digest, hasHandler } of placed) {
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    const describe = hasHandler ? describeHandler : describeBundle;
    const described = await describe(dir, { sha256: digest, sizeBytes, model: name });
    if (described.refusal !== undefined) {
      const which = name === undefined ? '' : `The bundle "${name}" can't be served. `;
      throw new EndpointError('unsupported_bundle', which + described.refusal);
    }
    bundles.push(described);
  }
  await mkdir(dirname(resolve(output)), { recursive: true });
  return { sizeBytes: await writeArchive(placed, resolve(output), signal), bundles };
}

/** Packs one bundle; see {@link packBundles}. Its size is that of the archive. */
export async function packBundle(bundleDir: string, output: string): Promise<BundleDescription> {
  const { sizeBytes, bundles } = await packBundles([bundleDir], output);
  return { ...(bundles[0] as BundleDescription), sizeBytes };
}

/** `map-endpoint pack`. */
export async function runPack(dirs: readonly string[], flags: PackFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  if (!flags.output.endsWith('.tar.gz')) throw new UsageError('--output takes a file that ends in .tar.gz.');
  checkTargetModel(basename(flags.output));
  terminal.progress('checking and packing');
  const { sizeBytes, bundles } = await packBundles(dirs, flags.output);
  const file = resolve(flags.output);
  const [only] = bundles;
  if (only && only.model === undefined) terminal.json({ file, ...only, sizeBytes });
  else terminal.json({ file, sizeBytes, bundles });
  terminal.line(`${flags.output}: ${sizeBytes} bytes`);
  for (const { model, sha256, segments, outputs, hasHandler } of bundles) {
    const named = segments.map(({ label }) => label).join(', ') || outputs[0]?.key;
    const serves = hasHandler ? 'has code of its own: served where ALLOW_CUSTOM_CODE=true is set' : `serves ${named}`;
    terminal.line(`${model ?? 'model'} ${sha256.slice(0, 16)} ${serves}`);
  }
}

async function placeFolders(dirs: readonly string[], signal: AbortSignal): Promise<PlacedBundle[]> {
  try {
    return await placeBundles(dirs, archiveLimits, signal);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw thrown;
    throw new EndpointError('invalid_archive', `There is no folder "${dirs.join('" or "')}".`, { cause: thrown });
  }
}
