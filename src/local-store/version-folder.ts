import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { syncPath, writeFlushedSync } from './flushed-sync.ts';
import { versionFiles } from './layout.ts';
import type { MetadataDocument } from './metadata/document.ts';
import type { BlobIndex } from './records.ts';

/** What a version's folder says about its image set, besides the properties. */
export interface VersionContent {
  readonly document: MetadataDocument;
  readonly index: BlobIndex;
}

/** Reads a committed version; for compute threads, since documents can be big. */
export function readVersionFiles(versionFolder: string): VersionContent {
  const compressed = readFileSync(join(versionFolder, versionFiles.metadata));
  return {
    document: JSON.parse(gunzipSync(compressed).toString('utf8')) as MetadataDocument,
    index: JSON.parse(readFileSync(join(versionFolder, versionFiles.blobIndex), 'utf8')) as BlobIndex,
  };
}

/** Writes a version's document and index into its staged folder, whose `blobs` folder exists; all of it is flushed. */
export function writeVersionFiles(versionFolder: string, document: MetadataDocument, index: BlobIndex): void {
  writeFlushedSync(join(versionFolder, versionFiles.metadata), gzipSync(JSON.stringify(document), { level: 5 }));
  writeFlushedSync(join(versionFolder, versionFiles.blobIndex), JSON.stringify(index));
  syncPath(join(versionFolder, versionFiles.blobs));
}
