import type { RouteDescription } from './openapi/route.ts';

/** A call as logs and traces name it. */
export interface NamedCall {
  readonly operation: string;
  /** The path's template: the path itself can hold names. */
  readonly route: string;
}

type NamedRoute = Pick<RouteDescription, 'method' | 'path' | 'operation'>;

/** HealthImaging's operations, which the local mode passes on to its store (field-facts §1.3). */
export const healthImagingCalls: readonly NamedRoute[] = [
  { method: 'post', path: '/datastore', operation: 'CreateDatastore' },
  { method: 'get', path: '/datastore', operation: 'ListDatastores' },
  { method: 'get', path: '/datastore/{datastoreId}', operation: 'GetDatastore' },
  { method: 'delete', path: '/datastore/{datastoreId}', operation: 'DeleteDatastore' },
  { method: 'post', path: '/startDICOMImportJob/datastore/{datastoreId}', operation: 'StartDICOMImportJob' },
  { method: 'get', path: '/getDICOMImportJob/datastore/{datastoreId}/job/{jobId}', operation: 'GetDICOMImportJob' },
  { method: 'get', path: '/listDICOMImportJobs/datastore/{datastoreId}', operation: 'ListDICOMImportJobs' },
  { method: 'post', path: '/datastore/{datastoreId}/searchImageSets', operation: 'SearchImageSets' },
  ...(
    [
      ['getImageSet', 'GetImageSet'],
      ['getImageSetMetadata', 'GetImageSetMetadata'],
      ['getImageFrame', 'GetImageFrame'],
      ['listImageSetVersions', 'ListImageSetVersions'],
      ['updateImageSetMetadata', 'UpdateImageSetMetadata'],
      ['copyImageSet', 'CopyImageSet'],
      ['deleteImageSet', 'DeleteImageSet'],
    ] as const
  ).map(([last, operation]) => ({
    method: 'post' as const,
    path: `/datastore/{datastoreId}/imageSet/{imageSetId}/${last}`,
    operation,
  })),
  { method: 'get', path: '/tags/{resourceArn}', operation: 'ListTagsForResource' },
  { method: 'post', path: '/tags/{resourceArn}', operation: 'TagResource' },
  { method: 'delete', path: '/tags/{resourceArn}', operation: 'UntagResource' },
];

/** Names calls by method and path; undefined for what is none of the routes. */
export function callNames(routes: readonly NamedRoute[]): (method: string, path: string) => NamedCall | undefined {
  const byStart = new Map<string, { readonly expression: RegExp; readonly call: NamedCall }[]>();
  for (const { method, path, operation } of routes) {
    const pattern = path.split(/\{[^}]+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    // The Open Inference Protocol's clients leave a "/" in a model's name as it is.
    const value = path.startsWith('/v2/') ? '.+' : '[^/]+';
    const known = { expression: new RegExp(`^${pattern.join(value)}/?$`), call: { operation, route: path } };
    const start = startOf(method.toUpperCase(), path);
    byStart.set(start, [...(byStart.get(start) ?? []), known]);
  }
  return (method, path) => {
    const start = startOf(method === 'HEAD' ? 'GET' : method, path);
    return byStart.get(start)?.find(({ expression }) => expression.test(path))?.call;
  };
}

/** Method and first segment, which no route leaves open: few routes have them in common. */
function startOf(method: string, path: string): string {
  const end = path.indexOf('/', 1);
  return `${method} ${end < 0 ? path : path.slice(0, end)}`;
}
