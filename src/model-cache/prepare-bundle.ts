import { join } from 'node:path';
import type { ArchiveLimits } from '../archive/archive-path.ts';
import { digestOfFiles, filesUnder, type TreeFile } from '../archive/digest.ts';
import { findBundles } from '../archive/layout.ts';
import { checkOnnxFile } from '../archive/onnx-check.ts';
import { readTree } from '../archive/tree.ts';
import type { PreparedBundle } from './model.ts';

/** What is accepted as a model. */
export interface BundleRules extends ArchiveLimits {
  readonly allowCustomCode: boolean;
}

/**
 * Checks an unpacked model archive whose files are known: its layout, and the ONNX file of each of its bundles before
 * onnxruntime sees one. One bundle that is refused refuses them all.
 *
 * @param dir - folder of the tree
 * @param files - all its files
 * @returns the one bundle of the archive, or those under `bundles/`, by name
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`; the signal's reason
 */
export async function prepareFiles(
  dir: string,
  files: readonly TreeFile[],
  rules: BundleRules,
  signal: AbortSignal,
): Promise<PreparedBundle[]> {
  const layouts = findBundles(
    files.map(({ path }) => path),
    rules,
  );
  const prepared: PreparedBundle[] = [];
  for (const { root, name, hasNoNetwork } of layouts) {
    const bundleDir = join(dir, root);
    const { sizeBytes } = hasNoNetwork ? { sizeBytes: 0 } : await checkOnnxFile(bundleDir, signal);
    prepared.push({ name, dir: bundleDir, digest: digestOfFiles(filesUnder(files, root)), onnxBytes: sizeBytes });
  }
  return prepared;
}

/** Reads and checks an unpacked model in its folder; throws as {@link prepareFiles} and `readTree` do. */
export async function prepareTree(dir: string, rules: BundleRules, signal: AbortSignal): Promise<PreparedBundle[]> {
  return await prepareFiles(dir, await readTree(dir, rules, signal), rules, signal);
}
