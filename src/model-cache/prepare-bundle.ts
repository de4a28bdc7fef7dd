import { join } from 'node:path';
import type { ArchiveLimits } from '../archive/archive-path.ts';
import { digestOfFiles, filesUnder, type TreeFile } from '../archive/digest.ts';
import { findBundle } from '../archive/layout.ts';
import { checkOnnxFile } from '../archive/onnx-check.ts';
import { readTree } from '../archive/tree.ts';
import type { PreparedBundle } from './model.ts';

/** What is accepted as a model. */
export interface BundleRules extends ArchiveLimits {
  readonly allowCustomCode: boolean;
}

/**
 * Checks an unpacked model whose files are known: its layout, and its ONNX file before onnxruntime sees it.
 *
 * @param dir - folder of the tree
 * @param files - all its files
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`; the signal's reason
 */
export async function prepareFiles(
  dir: string,
  files: readonly TreeFile[],
  rules: BundleRules,
  signal: AbortSignal,
): Promise<PreparedBundle> {
  const { root, hasNoNetwork } = findBundle(
    files.map(({ path }) => path),
    rules,
  );
  const bundleDir = join(dir, root);
  const { sizeBytes } = hasNoNetwork ? { sizeBytes: 0 } : await checkOnnxFile(bundleDir, signal);
  return { dir: bundleDir, digest: digestOfFiles(filesUnder(files, root)), onnxBytes: sizeBytes };
}

/** Reads and checks an unpacked model in its folder; throws as {@link prepareFiles} and `readTree` do. */
export async function prepareTree(dir: string, rules: BundleRules, signal: AbortSignal): Promise<PreparedBundle> {
  return await prepareFiles(dir, await readTree(dir, rules, signal), rules, signal);
}
