import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOfFiles, filesUnder, type TreeFile } from '../archive/digest.ts';
import { type BundleLayout, findBundles, onnxFile } from '../archive/layout.ts';
import { checkOnnxFile } from '../archive/onnx-check.ts';
import { readTree } from '../archive/tree.ts';
import { unpackArchive } from '../archive/unpack.ts';
import { EndpointError } from '../errors.ts';
import { archiveLimits } from './archive-limits.ts';
import { type BundleDescription, describeBundle, describeHandler, formatDescription } from './bundle-description.ts';
import { ReportedFailure } from './exit-codes.ts';
import { createTerminal } from './terminal.ts';

/** What `map-endpoint inspect` was told. */
export interface InspectFlags {
  readonly json: boolean;
}

/**
 * Describes the bundles of an archive, or of a folder, under the server's own rules.
 *
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`
 */
export async function inspectArchive(path: string): Promise<BundleDescription[]> {
  const { signal } = new AbortController();
  const found = await statOf(path);
  const workDir = await mkdtemp(join(tmpdir(), 'map-endpoint-inspect-'));
  try {
    const dir = found.isDirectory() ? path : join(workDir, 'model');
    const tree = found.isDirectory()
      ? await readTree(path, archiveLimits, signal)
      : await unpackArchive(path, dir, archiveLimits, signal);
    const paths = tree.map((file) => file.path);
    let layouts: BundleLayout[];
    try {
      layouts = findBundles(paths, { allowCustomCode: true }); // nothing is run
    } catch (thrown) {
      // What a configuration uses can be told before its network is exported.
      const lacksNetwork = thrown instanceof EndpointError && paths.includes('configs/metadata.json');
      if (!lacksNetwork || paths.includes(onnxFile)) throw thrown;
      const layout = { root: '', name: undefined, inferenceConfig: undefined };
      return [{ ...(await describe(dir, tree, { ...layout, hasNoNetwork: true }, signal)), refusal: thrown.message }];
    }
    return await Promise.all(
      layouts.map((layout) => describe(join(dir, layout.root), filesUnder(tree, layout.root), layout, signal)),
    );
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** `map-endpoint inspect`. */
export async function runInspect(path: string, flags: InspectFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const bundles = await inspectArchive(path);
  terminal.json({ bundles });
  for (const [index, bundle] of bundles.entries()) {
    for (const line of [...(index > 0 ? [''] : []), ...formatDescription(bundle)]) terminal.line(line);
  }
  const refusal = bundles.find((bundle) => bundle.refusal !== undefined)?.refusal;
  if (refusal !== undefined) throw new ReportedFailure(refusal);
}

async function describe(
  dir: string,
  files: readonly TreeFile[],
  { name: model, hasHandler, hasNoNetwork }: BundleLayout,
  signal: AbortSignal,
): Promise<BundleDescription> {
  const identity = {
    model,
    sha256: digestOfFiles(files),
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  };
  const described = await (hasHandler ? describeHandler : describeBundle)(dir, identity);
  try {
    if (!hasNoNetwork) await checkOnnxFile(dir, signal);
    return described;
  } catch (thrown) {
    if (!(thrown instanceof EndpointError) || described.refusal !== undefined) throw thrown;
    return { ...described, refusal: thrown.message };
  }
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (cause) {
    throw new EndpointError('invalid_archive', `There is no file or folder "${path}".`, { cause });
  }
}
