import type { Request, Response, Router } from 'express';
import type { Catalog } from '../catalog.ts';
import { imageSetArn } from '../identifiers.ts';
import type { ImageSetFiles } from '../image-set-files.ts';
import type { ImageSetStates } from '../image-set-states.ts';
import { pageOf } from '../paging.ts';
import type { ImageSetVersion } from '../records.ts';
import { searchImageSets } from '../search.ts';
import { notFound } from '../service-error.ts';
import type { StoreService } from '../store-service.ts';
import { pageShape, parseId, parseShape, searchShape, versionShape } from '../wire.ts';
import { operation } from './respond.ts';

/** Image sets: search, properties, documents, deletion. */
export function addImageSetRoutes(
  router: Router,
  service: StoreService,
  catalog: Catalog,
  files: ImageSetFiles,
  states: ImageSetStates,
  region: string,
): void {
  const idsOf = (request: Request) => ({
    datastoreId: parseId(request.params.datastoreId, 'datastoreId'),
    imageSetId: parseId(request.params.imageSetId, 'imageSetId'),
  });

  /** The version that the query asks for, or the latest. */
  const versionOf = async (request: Request): Promise<ImageSetVersion> => {
    const { datastoreId, imageSetId } = idsOf(request);
    const asked = parseShape(versionShape, request.query.version, 'version');
    const latest = catalog.imageSet(datastoreId, imageSetId);
    const version = asked === undefined ? latest : await catalog.readVersion(datastoreId, imageSetId, Number(asked));
    if (!version) throw notFound(`Image set ${imageSetId} has no version ${asked}.`);
    return version;
  };

  router.post(
    '/datastore/:datastoreId/searchImageSets',
    operation((request) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const criteria = parseShape(searchShape, request.body ?? {}, 'searchCriteria');
      const found = searchImageSets(
        catalog.datastore(datastoreId).imageSets.values(),
        criteria,
        parseShape(pageShape, request.query, 'query'),
      );
      return {
        imageSetsMetadataSummaries: found.items.map((imageSet) => ({
          imageSetId: imageSet.imageSetId,
          version: imageSet.version,
          createdAt: imageSet.createdAt,
          updatedAt: imageSet.updatedAt,
          lastAccessedAt: imageSet.updatedAt,
          storageTier: 'FREQUENT_ACCESS',
          DICOMTags: imageSet.dicomTags,
          isPrimary: imageSet.isPrimary,
        })),
        sort: found.sort,
        nextToken: found.nextToken,
      };
    }),
  );

  const imageSetPath = '/datastore/:datastoreId/imageSet/:imageSetId';

  router.post(
    `${imageSetPath}/getImageSet`,
    operation(async (request) => {
      const version = await versionOf(request);
      const { datastoreId, imageSetId, isPrimary, updatedAt } = version;
      const isLatest = version === catalog.imageSet(datastoreId, imageSetId);
      const work = isLatest ? states.of(imageSetId) : undefined;
      return {
        datastoreId,
        ...propertiesOf(version),
        imageSetState: work === undefined ? 'ACTIVE' : 'LOCKED',
        imageSetWorkflowStatus: work ?? version.workflowStatus,
        imageSetArn: imageSetArn(region, datastoreId, imageSetId),
        isPrimary,
        lastAccessedAt: updatedAt,
        storageTier: 'FREQUENT_ACCESS',
      };
    }),
  );

  router.post(
    `${imageSetPath}/getImageSetMetadata`,
    operation(async (request, response) => {
      const { datastoreId, imageSetId, version } = await versionOf(request);
      const document = await files.metadata(datastoreId, imageSetId, version);
      // SDKs hand the bytes on as they are, although the header says gzip: their callers expect gzip.
      response.setHeader('Content-Encoding', 'gzip');
      sendBytes(response, document, 'application/json');
    }),
  );

  router.post(
    `${imageSetPath}/listImageSetVersions`,
    operation(async (request) => {
      const { datastoreId, imageSetId } = idsOf(request);
      const latest = catalog.imageSet(datastoreId, imageSetId);
      const { maxResults, nextToken } = parseShape(pageShape, request.query, 'query');
      const numbers = Array.from({ length: latest.version }, (_, index) => index + 1);
      const page = pageOf(numbers, {
        keyOf: (number): [number, string] => [number, ''],
        descending: true,
        maxResults,
        nextToken,
        query: ['versions', imageSetId],
      });
      const versions = await Promise.all(
        page.items.map((number) => catalog.readVersion(datastoreId, imageSetId, number)),
      );
      return {
        imageSetPropertiesList: versions
          .filter((version) => version !== undefined)
          .map((version) => ({
            ...propertiesOf(version),
            ImageSetWorkflowStatus: version.workflowStatus,
            isPrimary: version.isPrimary,
          })),
        nextToken: page.nextToken,
      };
    }),
  );

  router.post(
    `${imageSetPath}/deleteImageSet`,
    operation(async (request) => {
      const { datastoreId, imageSetId } = idsOf(request);
      await service.deleteImageSet(datastoreId, imageSetId);
      return { datastoreId, imageSetId, imageSetState: 'LOCKED', imageSetWorkflowStatus: 'DELETING' };
    }),
  );
}

const propertiesOf = ({ imageSetId, version, createdAt, updatedAt, forced }: ImageSetVersion) => ({
  imageSetId,
  versionId: String(version),
  imageSetState: 'ACTIVE',
  createdAt,
  updatedAt,
  ...(forced ? { overrides: { forced } } : {}),
});

/** `response.send` would add a charset and an ETag over the whole body. */
function sendBytes(response: Response, bytes: Buffer, contentType: string): void {
  response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': bytes.length });
  response.end(bytes);
}
