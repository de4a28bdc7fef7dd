import type { Router } from 'express';
import type { Catalog } from '../catalog.ts';
import { datastoreArn, parseArn } from '../identifiers.ts';
import { pageOf } from '../paging.ts';
import type { DatastoreRecord } from '../records.ts';
import { validation } from '../service-error.ts';
import type { StoreService } from '../store-service.ts';
import {
  createDatastoreShape,
  datastoreStatusShape,
  pageShape,
  parseId,
  parseShape,
  tagResourceShape,
} from '../wire.ts';
import { operation } from './respond.ts';

/** Data stores and tags. */
export function addDatastoreRoutes(router: Router, service: StoreService, catalog: Catalog, region: string): void {
  const summaryOf = ({ datastoreId, datastoreName, datastoreStatus, createdAt, updatedAt }: DatastoreRecord) => ({
    datastoreId,
    datastoreName,
    datastoreStatus,
    datastoreArn: datastoreArn(region, datastoreId),
    createdAt,
    updatedAt,
  });

  router.post(
    '/datastore',
    operation(async (request) => {
      const { datastoreId } = await service.createDatastore(
        parseShape(createDatastoreShape, request.body ?? {}, 'body'),
      );
      // As the service words it; the data store can be used at once.
      return { datastoreId, datastoreStatus: 'CREATING' };
    }),
  );

  router.get(
    '/datastore',
    operation((request) => {
      const status = parseShape(datastoreStatusShape, request.query.datastoreStatus, 'datastoreStatus');
      const { maxResults, nextToken } = parseShape(pageShape, request.query, 'query');
      const records = catalog
        .datastores()
        .map(({ record }) => record)
        .filter(({ datastoreStatus }) => status === undefined || datastoreStatus === status);
      const page = pageOf(records, {
        keyOf: ({ createdAt, datastoreId }) => [createdAt, datastoreId],
        maxResults,
        nextToken,
        query: ['datastores', status],
      });
      return { datastoreSummaries: page.items.map(summaryOf), nextToken: page.nextToken };
    }),
  );

  router.get(
    '/datastore/:datastoreId',
    operation((request) => {
      const { record } = catalog.anyDatastore(parseId(request.params.datastoreId, 'datastoreId'));
      const { kmsKeyArn, lambdaAuthorizerArn, losslessStorageFormat } = record;
      return {
        datastoreProperties: { ...summaryOf(record), kmsKeyArn, lambdaAuthorizerArn, losslessStorageFormat },
      };
    }),
  );

  router.delete(
    '/datastore/:datastoreId',
    operation(async (request) => {
      const { datastoreId } = await service.deleteDatastore(parseId(request.params.datastoreId, 'datastoreId'));
      return { datastoreId, datastoreStatus: 'DELETING' };
    }),
  );

  const resourceOf = (arn: unknown) => {
    const resource = typeof arn === 'string' ? parseArn(arn) : undefined;
    if (!resource) throw validation("Value at 'resourceArn' is no ARN of a data store or image set.");
    return resource;
  };

  router.get(
    '/tags/:resourceArn',
    operation((request) => {
      const { datastoreId, imageSetId } = resourceOf(request.params.resourceArn);
      return { tags: service.tags(datastoreId, imageSetId) };
    }),
  );

  router.post(
    '/tags/:resourceArn',
    operation(async (request) => {
      const { datastoreId, imageSetId } = resourceOf(request.params.resourceArn);
      const { tags } = parseShape(tagResourceShape, request.body ?? {}, 'body');
      await service.changeTags(datastoreId, imageSetId, (present) => ({ ...present, ...tags }));
      return {};
    }),
  );

  router.delete(
    '/tags/:resourceArn',
    operation(async (request) => {
      const { datastoreId, imageSetId } = resourceOf(request.params.resourceArn);
      const keys = [request.query.tagKeys ?? []].flat().map(String);
      await service.changeTags(datastoreId, imageSetId, (present) =>
        Object.fromEntries(Object.entries(present).filter(([key]) => !keys.includes(key))),
      );
      return {};
    }),
  );
}
