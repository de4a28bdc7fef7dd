import { randomUUID } from 'node:crypto';

/** A new identifier of a data store, image set, frame or job: 32 lower-case hexadecimal digits. */
export const newId = (): string => randomUUID().replaceAll('-', '');

/** Stands in ARNs: there is no account here. */
const account = '000000000000';

export const datastoreArn = (region: string, datastoreId: string): string =>
  `arn:aws:medical-imaging:${region}:${account}:datastore/${datastoreId}`;

export const imageSetArn = (region: string, datastoreId: string, imageSetId: string): string =>
  `${datastoreArn(region, datastoreId)}/imageset/${imageSetId}`;

/** Data store and image set of an ARN, of whatever region and account; undefined for what is no ARN of this service. */
export function parseArn(arn: string): { datastoreId: string; imageSetId: string | undefined } | undefined {
  const pattern =
    /^arn:aws[a-z-]*:medical-imaging:[a-z0-9-]+:\d{12}:datastore\/([0-9a-z]{32})(?:\/imageset\/([0-9a-z]{32}))?$/;
  const [, datastoreId, imageSetId] = pattern.exec(arn) ?? [];
  return datastoreId === undefined ? undefined : { datastoreId, imageSetId };
}
