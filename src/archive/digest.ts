import { createHash } from 'node:crypto';

/** A regular file of a model, its path relative to the bundle's root or to the folder that was read. */
export interface TreeFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

/**
 * Digest of a model: SHA-256 over its files sorted by the bytes of their paths, each as
 * `path NUL size NUL sha256 LF`. Equal whether the model came as an archive or unpacked: order, times, modes and owners
 * don't count.
 */
export function digestOfFiles(files: readonly TreeFile[]): string {
  const sorted = files
    .map((file) => ({ file, bytes: Buffer.from(file.path, 'utf8') }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const hash = createHash('sha256');
  for (const { file } of sorted) hash.update(`${file.path}\0${file.sizeBytes}\0${file.sha256}\n`);
  return hash.digest('hex');
}

/** The files under a folder of the tree (`''`, or a path with its trailing slash), with paths relative to it. */
export function filesUnder(files: readonly TreeFile[], root: string): TreeFile[] {
  return files
    .filter(({ path }) => path.startsWith(root))
    .map((file) => ({ ...file, path: file.path.slice(root.length) }));
}
