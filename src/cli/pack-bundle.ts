import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { checkTargetModel } from '../api/target-model.ts';
import { readMapJson } from '../archive/map-json-file.ts';
import { type PlacedBundle, placeBundles, packBundles as writeArchive } from '../archive/pack.ts';
import { EndpointError } from '../errors.ts';
import { readMetadata } from '../monai/bundle/metadata.ts';
import { archiveLimits } from './archive-limits.ts';
import { type BundleDescription, describeBundle, describeHandler } from './bundle-description.ts';
import { UsageError } from './exit-codes.ts';
import { createTerminal, formatTable, type Terminal } from './terminal.ts';
import { type BundleTrial, type TriedResult, tryBundle } from './try-bundle.ts';

/** What `map-endpoint pack` was told. */
export interface PackFlags {
  readonly output: string;
  readonly json: boolean;
  /** Run the network on a window of noise. */
  readonly trial: boolean;
  /** Add a derived `map.json` to a bundle that has none. */
  readonly map: boolean;
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
  const workDir = await mkdtemp(join(tmpdir(), 'map-endpoint-pack-'));
  try {
    const trials: (BundleTrial | undefined)[] = [];
    let sources = dirs;
    if (flags.trial) {
      sources = [];
      for (const [index, dir] of dirs.entries()) {
        // The folder's name is the model's where there are several.
        const copy = join(workDir, String(index), basename(resolve(dir)));
        sources = [...sources, await tryBundles(dir, copy, flags.map, trials, terminal)];
      }
    }
    terminal.progress('packing');
    const packed = await packBundles(sources, flags.output);
    report(packed, trials, flags.output, terminal);
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/**
 * Tries every bundle of a folder.
 *
 * @returns the folder to pack: a copy when a derived `map.json` was added
 */
async function tryBundles(
  dir: string,
  copy: string,
  mayAddMap: boolean,
  trials: (BundleTrial | undefined)[],
  terminal: Terminal,
): Promise<string> {
  let source = dir;
  for (const { name, dir: bundleDir, files, hasHandler } of await placeFolders([dir], new AbortController().signal)) {
    const map = await readMapJson(bundleDir);
    if (hasHandler || map.tensorsOnly) {
      trials.push(undefined);
      continue;
    }
    terminal.progress(`${name ?? basename(resolve(dir))}: running the network on one window`);
    const trial = await tryBundle(bundleDir, map, await readMetadata(bundleDir));
    trials.push(trial);
    if (!mayAddMap || !trial.map || files.some(({ path }) => path === 'map.json')) continue;
    if (source === dir) await cp(dir, copy, { recursive: true });
    source = copy;
    await writeFile(
      join(copy, bundleDir.slice(resolve(dir).length), 'map.json'),
      `${JSON.stringify(trial.map, null, 2)}\n`,
    );
  }
  return source;
}

function report(
  { sizeBytes, bundles }: Packed,
  trials: readonly (BundleTrial | undefined)[],
  output: string,
  terminal: Terminal,
): void {
  const file = resolve(output);
  const described = bundles.map((bundle, index) => ({ ...bundle, trial: trials[index] }));
  const [only] = described;
  if (only && only.model === undefined) terminal.json({ file, ...only, sizeBytes });
  else terminal.json({ file, sizeBytes, bundles: described });
  terminal.line(`${output}: ${sizeBytes} bytes`);
  for (const { model, sha256, segments, outputs, hasHandler, trial } of described) {
    const named = segments.map(({ label }) => label).join(', ') || outputs[0]?.key;
    const serves = hasHandler ? 'has code of its own: served where ALLOW_CUSTOM_CODE=true is set' : `serves ${named}`;
    terminal.line(`${model ?? 'model'} ${sha256.slice(0, 16)} ${serves}`);
    if (trial) for (const line of describeTrial(trial)) terminal.line(line);
  }
}

function formOf(result: TriedResult): string {
  if (typeof result === 'object') return result.channels > 1 ? `${result.channels} masks` : 'a label map';
  return result === 'boxes' ? 'boxes, written as JSON' : 'figures of classes, written as JSON';
}

function describeTrial({ windowShape, answerShape, elapsedMs, result, notes, map }: BundleTrial): string[] {
  const segments = map?.outputs[0].segments ?? [];
  const rows = segments.map(({ value, label, category, propertyType: [code, scheme, meaning] }) => [
    String(value),
    label,
    `${code} ${scheme} ${meaning}`,
    category[2],
  ]);
  const form = result && formOf(result);
  return [
    `one window of ${windowShape.join(' × ')} gave ${answerShape.join(' × ')} in ${Math.round(elapsedMs)} ms${form ? `; the result is ${form}` : ''}`,
    ...(rows.length > 0 ? formatTable([['value', 'segment', 'code', 'category'], ...rows]) : []),
    ...notes.map((note) => `note: ${note}`),
  ];
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
