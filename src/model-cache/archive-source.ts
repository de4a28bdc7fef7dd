/** What a place of models tells of one archive, without reading it. */
export interface StoredArchive {
  /** A folder may hold the unpacked bundle `<name>/` in place of `<name>.tar.gz`. */
  readonly kind: 'archive' | 'directory';
  /** Changes whenever the content does: an ETag, or size and mtime (of every file of a directory). */
  readonly version: string;
  /** Bytes of the archive, or of all files of the directory. */
  readonly sizeBytes: number;
  /**
   * Epoch milliseconds of the last change, where the place can show a file that is still being written (a folder).
   * Undefined where objects appear whole (S3).
   */
  readonly modifiedAtMs?: number;
}

/**
 * Port: a place that holds model archives by `TargetModel`. Drivers: a folder, an S3 prefix; both pass
 * `test/support/archive-source-contract.ts`. Targets are checked before (`checkTargetModel`).
 */
export interface ArchiveSource {
  /**
   * What lies under a target now; undefined when there is nothing. A link is nothing.
   *
   * @throws EndpointError `upstream_failed`; the signal's reason
   */
  head(target: string, signal: AbortSignal): Promise<StoredArchive | undefined>;
  /**
   * Copies what lies under a target to `toPath`, which does not exist yet: an archive to a file, a directory to a
   * folder (regular files and folders only; anything else is refused with `invalid_archive`). On failure nothing is
   * left at `toPath`.
   *
   * @param stored - what `head` gave; content of another version must not be given in its place
   * @throws EndpointError `model_not_found` when it is gone, `upstream_failed` when it is unreachable or changed under
   *   the copy, `invalid_archive`; the signal's reason
   */
  download(target: string, stored: StoredArchive, toPath: string, signal: AbortSignal): Promise<void>;
}
