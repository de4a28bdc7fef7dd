import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import express, { type Express, type RequestHandler, Router } from 'express';
import type { ComputePool } from '../compute/pool.ts';
import type { Logger } from '../logger.ts';
import { AllowedLocations } from './allowed-locations.ts';
import { Catalog } from './catalog.ts';
import { type ChangeContext, ImageSetChanges } from './changes/image-set-changes.ts';
import { ImageSetIndex } from './dicomweb/image-set-index.ts';
import { addRetrieveRoutes } from './dicomweb/retrieve-routes.ts';
import { addSearchRoutes } from './dicomweb/search-routes.ts';
import type { StoreContext } from './dicomweb/store-instances.ts';
import { addStoreRoutes } from './dicomweb/store-routes.ts';
import { authorize } from './http/authorize.ts';
import { addChangeRoutes } from './http/change-routes.ts';
import { addDatastoreRoutes } from './http/datastore-routes.ts';
import { addFrameRoute, framePath } from './http/frame-routes.ts';
import { addImageSetRoutes } from './http/image-set-routes.ts';
import { addImportRoutes } from './http/import-routes.ts';
import { errorHandler, requestId } from './http/respond.ts';
import { ImageSetFiles } from './image-set-files.ts';
import { ImageSetStates } from './image-set-states.ts';
import type { ImportContext } from './import/import-runner.ts';
import { serviceQuotas } from './import/input-files.ts';
import type { ImportObjectStore } from './import/object-port.ts';
import { ServiceError } from './service-error.ts';
import { StoreLock } from './store-lock.ts';
import { type StoreQuotas, StoreService } from './store-service.ts';
import { WriteLocks } from './write-locks.ts';

export interface LocalStoreOptions {
  /** Folder of the store, made when absent; one process owns it at a time. */
  readonly dataDir: string;
  /** Folders (`file:///…` or absolute paths) and `s3://` prefixes that import jobs may read and write. */
  readonly allowedUris: readonly string[];
  /** Stands in ARNs. Default `us-east-1`. */
  readonly region?: string | undefined;
  readonly logger: Logger;
  /** Reads and encodes images; the caller closes it, after the store. */
  readonly pool: ComputePool;
  /** Serves `s3://` URIs of import jobs; without it they fail with a message. */
  readonly objects?: ImportObjectStore | undefined;
  /** Default: the service's own, with 100 data stores. */
  readonly quotas?: Partial<StoreQuotas> | undefined;
  /** Asked of every request, as bearer token or as the secret access key of its signature. Default: none is asked. */
  readonly token?: string | undefined;
}

/** The embedded HealthImaging: routes, and what keeps them. */
export interface LocalStore {
  /** Answers the service's paths (`/datastore…`, `/startDICOMImportJob…`, `/tags/…`), passes all others on. */
  readonly router: Router;
  /** Stops the jobs (the next start takes them up) and frees the data folder. */
  close(): Promise<void>;
}

const defaultQuotas: StoreQuotas = {
  ...serviceQuotas,
  datastores: 100,
  openJobs: 100,
  bytesPerUpdate: 10 * 1024,
  framesPerCopy: 1_000,
  bytesPerStore: 1024 ** 3,
};
/** Requests are small; the largest operation takes 260 KB of attributes. */
const maxBodyBytes = 1024 * 1024;
/** Paths of DICOMweb: the service's own ones have other words behind the data store. */
const isDicomWeb = (path: string): boolean => /^\/datastore\/[^/]+\/(studies|series|instances)(\/|$)/.test(path);
const sha256 = (body: Uint8Array | string): string => createHash('sha256').update(body).digest('hex');
const ownPaths = /^\/(datastore|startDICOMImportJob|getDICOMImportJob|listDICOMImportJobs|tags)(\/|$)/;

/**
 * Opens the store on its folder: jobs that an earlier process left are taken up, half-made work is removed.
 *
 * @throws EndpointError `conflict` when another process owns the folder
 */
export async function createLocalStore(options: LocalStoreOptions): Promise<LocalStore> {
  const { dataDir, logger, pool, region = 'us-east-1' } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const lock = await StoreLock.acquire(dataDir);
  try {
    const catalog = await Catalog.open(dataDir);
    const stopping = new AbortController();
    const quotas = { ...defaultQuotas, ...options.quotas };
    const context = {
      catalog,
      locks: new WriteLocks(),
      states: new ImageSetStates(),
      pool,
      allowed: new AllowedLocations(options.allowedUris),
      objects: options.objects,
      quotas,
      logger,
      signal: stopping.signal,
    };
    const service = new StoreService(context, quotas);
    service.resumeJobs();
    let closing: Promise<void> | undefined;
    return {
      router: storeRouter(service, context, region, options.token),
      close() {
        closing ??= (async () => {
          stopping.abort();
          await service.settle();
          await lock.release();
        })();
        return closing;
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The store as an application of its own, for a process of its own. */
export function createStoreApp(store: LocalStore): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(store.router);
  return app;
}

function storeRouter(
  service: StoreService,
  context: ImportContext & ChangeContext & StoreContext,
  region: string,
  token: string | undefined,
): Router {
  const { catalog, logger, states } = context;
  const router = Router({ caseSensitive: true });
  const operations = Router({ caseSensitive: true });
  operations.use(requestId);
  // What comes with a large body, or with none, is asked before the body is read.
  operations.use((request, _response, next) => {
    if (token !== undefined && isDicomWeb(request.path)) authorize(request, token, undefined);
    next();
  });
  const files = new ImageSetFiles(catalog);
  const index = new ImageSetIndex(catalog, files);
  const jsonBody = [
    express.json({
      type: () => true,
      limit: maxBodyBytes,
      verify: (request, _response, body) => Object.assign(request, { bodySha256: sha256(body) }),
    }),
    ((request, _response, next) => {
      if (token !== undefined)
        authorize(request, token, 'bodySha256' in request ? String(request.bodySha256) : sha256(''));
      next();
    }) satisfies RequestHandler,
  ];
  // Before the forty routes that a frame's path would be compared with.
  operations.post(framePath, ...jsonBody);
  addFrameRoute(operations, files);
  // DICOMweb before the JSON parser: bodies of STOW-RS are large, and go to disk as they come.
  addStoreRoutes(operations, context);
  addSearchRoutes(operations, index);
  addRetrieveRoutes(operations, { index, files, pool: context.pool });
  operations.use(...jsonBody);
  addDatastoreRoutes(operations, service, catalog, region);
  addImportRoutes(operations, service, catalog);
  addImageSetRoutes(operations, service, catalog, files, states, region);
  addChangeRoutes(operations, new ImageSetChanges(context), region);
  operations.use(() => {
    throw new ServiceError('UnknownOperationException', 'The path and method name no operation of this store.');
  });
  operations.use(errorHandler(logger));
  router.use((request, response, next) => {
    if (ownPaths.test(request.path)) operations(request, response, next);
    else next();
  });
  return router;
}
