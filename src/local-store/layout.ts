import { join } from 'node:path';

/**
 * Where things lie in the data folder:
 *
 * ```
 * store.lock                         who owns the folder
 * tmp/                               work in progress; emptied at start
 * datastores/{id}/datastore.json
 *   jobs/{jobId}.json
 *   changes/                         versions of several image sets, committed together, on the way to their places
 *   image-sets/{id}/versions/{n}/    a version is committed by the rename that puts its folder here
 *     properties.json                record, search summary
 *     metadata.json.gz               the document that GetImageSetMetadata sends
 *     blobs.json                     frame id → place, instance → received file
 *     blobs/{number}.dcm .frames     received Part 10 files as they came; their frames one behind the other
 * ```
 * A later version refers to the blobs of earlier ones, so a change of metadata copies no pixels.
 */
export const storeLayout = (dataDir: string) => {
  const datastores = join(dataDir, 'datastores');
  const datastore = (datastoreId: string): string => join(datastores, datastoreId);
  const imageSets = (datastoreId: string): string => join(datastore(datastoreId), 'image-sets');
  const imageSet = (datastoreId: string, imageSetId: string): string => join(imageSets(datastoreId), imageSetId);
  const versions = (datastoreId: string, imageSetId: string): string =>
    join(imageSet(datastoreId, imageSetId), 'versions');
  const jobs = (datastoreId: string): string => join(datastore(datastoreId), 'jobs');
  return {
    tmp: join(dataDir, 'tmp'),
    datastores,
    datastore,
    datastoreFile: (datastoreId: string): string => join(datastore(datastoreId), 'datastore.json'),
    jobs,
    changes: (datastoreId: string): string => join(datastore(datastoreId), 'changes'),
    jobFile: (datastoreId: string, jobId: string): string => join(jobs(datastoreId), `${jobId}.json`),
    imageSets,
    imageSet,
    versions,
    version: (datastoreId: string, imageSetId: string, version: number): string =>
      join(versions(datastoreId, imageSetId), String(version)),
  };
};

export type StoreLayout = ReturnType<typeof storeLayout>;

/** Files of a version's folder. */
export const versionFiles = {
  properties: 'properties.json',
  metadata: 'metadata.json.gz',
  blobIndex: 'blobs.json',
  blobs: 'blobs',
} as const;

/** Path of a blob's file in an image set; `blob` is `{version}/{number}`. */
export function blobPath(versionsFolder: string, blob: string, suffix: '.dcm' | '.frames'): string {
  const [version = '', number = ''] = blob.split('/');
  return join(versionsFolder, version, versionFiles.blobs, `${number}${suffix}`);
}
