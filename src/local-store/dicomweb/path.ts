import type { Request } from 'express';
import { validation } from '../service-error.ts';
import { parseId } from '../wire.ts';
import type { DicomPath } from './image-set-index.ts';

/** UIDs of a request's path, and its `imageSetId`. */
export function pathOf({ params, query }: Request): DicomPath {
  return {
    datastoreId: parseId(params.datastoreId, 'datastoreId'),
    study: uidOf(params.study, 'StudyInstanceUID'),
    series: uidOf(params.series, 'SeriesInstanceUID'),
    instance: uidOf(params.instance, 'SOPInstanceUID'),
    imageSetId: query.imageSetId === undefined ? undefined : parseId(query.imageSetId, 'imageSetId'),
  };
}

function uidOf(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^[0-9.]{1,64}$/.test(value)) return value;
  throw validation(`${name} is no UID.`);
}

/** URL of the data store's DICOMweb service, as the client sees it. */
export function serviceUrl(request: Request): string {
  const host = request.get('x-forwarded-host') ?? request.get('host') ?? 'localhost';
  return `http://${host}/datastore/${request.params.datastoreId}`;
}
