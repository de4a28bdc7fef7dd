import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isLocalEndpoint } from './endpoint-clients.ts';
import { UsageError } from './exit-codes.ts';

/** True for `s3://…` and `file://…`. */
export const isUri = (text: string): boolean => /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text);

/**
 * A folder argument as the URI that the server reads or writes: URIs as they are, a folder of this machine as
 * `file:///folder/` where the server is on it too.
 *
 * @throws UsageError for a folder when the server is elsewhere
 */
export function folderUri(folder: string, endpointUrl: string): string {
  if (isUri(folder)) return folder;
  if (!isLocalEndpoint(endpointUrl)) {
    throw new UsageError(
      `The endpoint is on another machine and can't reach the folder "${folder}": give an s3:// URI.`,
    );
  }
  return `${pathToFileURL(resolve(folder)).href.replace(/\/$/, '')}/`;
}
