import { randomBytes } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { create } from 'tar';
import { EndpointError } from '../errors.ts';
import type { ArchiveLimits } from './archive-path.ts';
import { digestOfFiles, filesUnder, type TreeFile } from './digest.ts';
import { findBundles } from './layout.ts';
import { checkOnnxFile } from './onnx-check.ts';
import { readTree } from './tree.ts';

/** A bundle on disk, and its place in an archive. */
export interface PlacedBundle {
  /** Name under `bundles/`; undefined: the one bundle of the archive. */
  readonly name: string | undefined;
  /** Root of the bundle. */
  readonly dir: string;
  /** Relative to the root, sorted. */
  readonly files: readonly TreeFile[];
  /** Digest of the model, as the endpoint reports it. */
  readonly digest: string;
  /** Has code of its own. */
  readonly hasHandler: boolean;
  readonly hasNoNetwork: boolean;
}

/**
 * Finds what is to be packed: in one folder the bundle, or those in its `bundles/`; of several folders each bundle
 * under the name of its folder.
 *
 * @throws EndpointError `invalid_archive` (also when two have one name), `unsupported_bundle`
 */
export async function placeBundles(
  dirs: readonly string[],
  limits: ArchiveLimits,
  signal: AbortSignal,
): Promise<PlacedBundle[]> {
  const placed: PlacedBundle[] = [];
  for (const dir of dirs) {
    const tree = await readTree(dir, limits, signal);
    const layouts = findBundles(
      tree.map(({ path }) => path),
      { allowCustomCode: true }, // to pack code is not to run it
    );
    for (const { root, name, hasHandler = false, hasNoNetwork = false } of layouts) {
      const files = filesUnder(tree, root).sort((a, b) => (a.path < b.path ? -1 : 1));
      const ownName = name ?? (dirs.length > 1 ? basename(resolve(dir)) : undefined);
      const place = { name: ownName, dir: join(resolve(dir), root), files, digest: digestOfFiles(files) };
      placed.push({ ...place, hasHandler, hasNoNetwork });
    }
  }
  const names = placed.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new EndpointError('invalid_archive', `Two bundles have the name "${twice}".`);
  // The names of folders make paths that were not looked at yet.
  findBundles(placed.flatMap(pathsOf), { allowCustomCode: true });
  return placed;
}

/**
 * Packs bundles into a `.tar.gz`. The same files always give the same bytes: sorted, without times, owners and modes.
 *
 * @param outPath - replaced when it exists, and only once the archive is whole
 * @returns size of the archive in bytes
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`
 */
export async function packBundles(
  bundles: readonly PlacedBundle[],
  outPath: string,
  signal: AbortSignal,
): Promise<number> {
  for (const { dir, hasNoNetwork } of bundles) if (!hasNoNetwork) await checkOnnxFile(dir, signal);
  const places = new Map<string, string>();
  for (const bundle of bundles) {
    for (const { path } of bundle.files) places.set(join(bundle.dir, path), `./${prefixOf(bundle)}${path}`);
  }
  const partPath = `${outPath}.part-${randomBytes(6).toString('hex')}`;
  try {
    await create(
      {
        cwd: '/',
        file: partPath,
        gzip: { level: 9, portable: true },
        portable: true,
        mtime: new Date(0),
        noDirRecurse: true,
        strict: true,
        onWriteEntry: (entry) => {
          entry.path = places.get(resolve('/', entry.path)) as string;
          if (entry.stat) entry.stat.mode = 0o100644;
        },
      },
      [...places.keys()].map((path) => `.${path}`), // a bare "@name" would mean an archive to take over
    );
    await rename(partPath, outPath);
  } catch (cause) {
    await rm(partPath, { force: true });
    throw new EndpointError('internal', 'The archive could not be written.', { cause });
  }
  return (await stat(outPath)).size;
}

const prefixOf = ({ name }: PlacedBundle): string => (name === undefined ? '' : `bundles/${name}/`);

const pathsOf = (bundle: PlacedBundle): string[] => bundle.files.map(({ path }) => prefixOf(bundle) + path);
