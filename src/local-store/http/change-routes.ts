import type { Router } from 'express';
import type { ImageSetChanges } from '../changes/image-set-changes.ts';
import { imageSetArn } from '../identifiers.ts';
import type { ImageSetVersion } from '../records.ts';
import { copyQueryShape, copyShape, parseId, parseShape, updateQueryShape, updateShape } from '../wire.ts';
import { operation } from './respond.ts';

/**
 * UpdateImageSetMetadata and CopyImageSet. The answers are worded as the service's, which has only begun by then; here
 * the change is done and can be read at once.
 */
export function addChangeRoutes(router: Router, changes: ImageSetChanges, region: string): void {
  router.post(
    '/datastore/:datastoreId/imageSet/:imageSetId/updateImageSetMetadata',
    operation(async (request) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const imageSetId = parseId(request.params.imageSetId, 'imageSetId');
      const query = parseShape(updateQueryShape, request.query, 'query');
      const body = parseShape(updateShape, request.body ?? {}, 'updateImageSetMetadataUpdates');
      const { version, createdAt, updatedAt } = await changes.update(datastoreId, imageSetId, {
        ...query,
        updates: body.DICOMUpdates && {
          removable: body.DICOMUpdates.removableAttributes,
          updatable: body.DICOMUpdates.updatableAttributes,
        },
        revertToVersion: body.revertToVersionId,
      });
      return {
        datastoreId,
        imageSetId,
        latestVersionId: String(version),
        imageSetState: 'LOCKED',
        imageSetWorkflowStatus: 'UPDATING',
        createdAt,
        updatedAt,
      };
    }),
  );

  router.post(
    '/datastore/:datastoreId/imageSet/:imageSetId/copyImageSet',
    operation(async (request) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const sourceImageSetId = parseId(request.params.imageSetId, 'sourceImageSetId');
      const query = parseShape(copyQueryShape, request.query, 'query');
      const body = parseShape(copyShape, request.body ?? {}, 'copyImageSetInformation');
      const { source, destination } = await changes.copy(datastoreId, sourceImageSetId, {
        ...query,
        sourceVersion: body.sourceImageSet.latestVersionId,
        copiable: body.sourceImageSet.DICOMCopies?.copiableAttributes,
        destination: body.destinationImageSet && {
          imageSetId: body.destinationImageSet.imageSetId,
          latestVersion: body.destinationImageSet.latestVersionId,
        },
      });
      const propertiesOf = ({ imageSetId, version, createdAt, updatedAt }: ImageSetVersion, status: string) => ({
        imageSetId,
        latestVersionId: String(version),
        imageSetState: 'LOCKED',
        imageSetWorkflowStatus: status,
        createdAt,
        updatedAt,
        imageSetArn: imageSetArn(region, datastoreId, imageSetId),
      });
      return {
        datastoreId,
        sourceImageSetProperties: propertiesOf(source, 'COPYING_WITH_READ_ONLY_ACCESS'),
        destinationImageSetProperties: propertiesOf(destination, 'COPYING'),
      };
    }),
  );
}
