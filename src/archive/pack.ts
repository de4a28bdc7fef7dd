import { randomBytes } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { create } from 'tar';
import { EndpointError } from '../errors.ts';
import type { ArchiveLimits } from './archive-path.ts';
import { digestOfFiles, filesUnder, type TreeFile } from './digest.ts';
import { findBundle } from './layout.ts';
import { checkOnnxFile } from './onnx-check.ts';
import { readTree } from './tree.ts';

export interface PackedArchive {
  readonly sizeBytes: number;
  /** Digest of the model, as the endpoint reports it. */
  readonly digest: string;
  readonly files: readonly TreeFile[];
}

/**
 * Packs a bundle's folder into a `.tar.gz`. The same files always give the same bytes: sorted, without times, owners
 * and modes.
 *
 * @param outPath - replaced when it exists, and only once the archive is whole
 * @throws EndpointError `invalid_archive`, `unsupported_bundle`
 */
export async function packBundle(
  bundleDir: string,
  outPath: string,
  limits: ArchiveLimits,
  signal: AbortSignal,
): Promise<PackedArchive> {
  const tree = await readTree(bundleDir, limits, signal);
  const { root, hasNoNetwork } = findBundle(
    tree.map(({ path }) => path),
    { allowCustomCode: true }, // to pack code is not to run it
  );
  const files = filesUnder(tree, root).sort((a, b) => (a.path < b.path ? -1 : 1));
  if (!hasNoNetwork) await checkOnnxFile(`${bundleDir}/${root}`, signal);
  const partPath = `${outPath}.part-${randomBytes(6).toString('hex')}`;
  try {
    await create(
      {
        cwd: `${bundleDir}/${root}`,
        file: partPath,
        gzip: { level: 9, portable: true },
        portable: true,
        mtime: new Date(0),
        noDirRecurse: true,
        strict: true,
        onWriteEntry: (entry) => {
          if (entry.stat) entry.stat.mode = 0o100644;
        },
      },
      files.map(({ path }) => `./${path}`), // a bare "@name" would mean an archive to take over
    );
    await rename(partPath, outPath);
  } catch (cause) {
    await rm(partPath, { force: true });
    throw new EndpointError('internal', 'The archive could not be written.', { cause });
  }
  const { size } = await stat(outPath);
  return { sizeBytes: size, digest: digestOfFiles(files), files };
}
