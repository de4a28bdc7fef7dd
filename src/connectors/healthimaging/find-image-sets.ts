import type { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import { throwIfAborted } from '../../errors.ts';
import { isTransientAwsError, upstreamError } from '../aws-errors.ts';
import { defaultRetryPolicy, type RetryPolicy, withRetry } from '../retry.ts';
import { adviceWhenDenied } from './healthimaging-client.ts';

/** An image set as SearchImageSets tells it. */
export interface FoundImageSet {
  readonly imageSetId: string;
  /** Undefined where the service does not say it. */
  readonly isPrimary: boolean | undefined;
}

export interface FindOptions {
  readonly signal: AbortSignal;
  readonly retry?: RetryPolicy;
}

/** Which DICOM attribute is asked for. */
export type ImageSetFilter = { readonly DICOMStudyInstanceUID: string } | { readonly DICOMSeriesInstanceUID: string };

/**
 * All image sets of a study or series, over every page of the search, each once.
 *
 * @param filter - undefined: every image set of the data store
 * @throws EndpointError `upstream_failed`
 */
export async function findImageSets(
  client: MedicalImagingClient,
  datastoreId: string,
  filter: ImageSetFilter | undefined,
  { signal, retry = defaultRetryPolicy }: FindOptions,
): Promise<FoundImageSet[]> {
  const { SearchImageSetsCommand } = await import('@aws-sdk/client-medical-imaging');
  const found = new Map<string, FoundImageSet>();
  const searchCriteria = filter ? { filters: [{ values: [filter], operator: 'EQUAL' as const }] } : {};
  let nextToken: string | undefined;
  try {
    do {
      throwIfAborted(signal);
      const command = new SearchImageSetsCommand({
        datastoreId,
        maxResults: 50,
        searchCriteria,
        ...(nextToken === undefined ? {} : { nextToken }),
      });
      const page = await withRetry((attempt) => client.send(command, { abortSignal: attempt.signal }), {
        policy: retry,
        signal,
        isTransient: isTransientAwsError,
      });
      for (const { imageSetId, isPrimary } of page.imageSetsMetadataSummaries ?? []) {
        if (imageSetId !== undefined) found.set(imageSetId, { imageSetId, isPrimary });
      }
      nextToken = page.nextToken;
    } while (nextToken);
  } catch (error) {
    const advice = await adviceWhenDenied(client);
    throw upstreamError('HealthImaging', 'SearchImageSets', `data store ${datastoreId}`, error, advice);
  }
  return [...found.values()];
}
