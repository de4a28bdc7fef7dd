import { EndpointError } from '../errors.ts';

/** The parts of an AWS SDK or socket error that say what kind it is. */
interface AwsErrorLike {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const transientNames = new Set([
  'TimeoutError',
  'RequestTimeout',
  'RequestTimeoutException',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'SlowDown',
  'InternalServerException',
  'InternalError',
  'ServiceUnavailable',
]);

const transientCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
  'UND_ERR_SOCKET',
]);

const denied =
  /AccessDenied|Forbidden|UnrecognizedClient|InvalidAccessKey|SignatureDoesNotMatch|ExpiredToken|InvalidToken|InvalidClientTokenId|Credentials/i;

/** HTTP status of an SDK error, if the service answered at all. */
export function awsStatus(error: unknown): number | undefined {
  return (error as AwsErrorLike | undefined)?.$metadata?.httpStatusCode;
}

/** True when another attempt may succeed: throttling, 5xx, timeouts, resets, a cut body. */
export function isTransientAwsError(error: unknown): boolean {
  const { name = '', code = '' } = (error ?? {}) as AwsErrorLike;
  const status = awsStatus(error);
  if (status !== undefined && (status === 429 || status === 408 || status >= 500)) return true;
  return transientNames.has(name) || transientCodes.has(code) || (error as Error | undefined)?.message === 'aborted';
}

/** True when the thing asked for does not exist. */
export function isAwsNotFound(error: unknown): boolean {
  const name = (error as AwsErrorLike | undefined)?.name ?? '';
  return awsStatus(error) === 404 || /^(ResourceNotFoundException|NoSuchKey|NoSuchBucket|NotFound)$/.test(name);
}

/**
 * A failure of an AWS service as `upstream_failed`, with what to do about it. The service's own text stays out: it can
 * quote keys and account numbers.
 *
 * @param service - as the message shall name it (`HealthImaging`, `S3`)
 * @param action - what was asked, in the SDK's words (`GetImageFrame`)
 * @param what - the thing it was asked for, without patient data
 * @param whenDenied - what to do when it refuses; default: AWS's permissions
 */
export function upstreamError(
  service: string,
  action: string,
  what: string,
  error: unknown,
  whenDenied = `Give the endpoint's role (or credentials) the permission for ${action}.`,
): EndpointError {
  if (error instanceof EndpointError) return error;
  const status = awsStatus(error);
  const { name = '', code = '' } = (error ?? {}) as AwsErrorLike;
  const details = { service, action, ...(status === undefined ? {} : { status }) };
  const fail = (reason: string) =>
    new EndpointError('upstream_failed', `${service} ${action} of ${what} failed: ${reason}`, {
      details,
      cause: error,
    });
  if (status === 403 || status === 401 || denied.test(name)) {
    return fail(`access denied. ${whenDenied}`);
  }
  if (status === 429 || /thrott|SlowDown|TooMany/i.test(name)) {
    return fail('it is throttled, also after retries. Send fewer requests at once or raise the quota.');
  }
  if (status !== undefined && status >= 500) return fail(`status ${status}, also after retries. Try again later.`);
  if (status !== undefined && status >= 300) return fail(`it refused the request with status ${status}.`);
  if (name === 'StallError' || name === 'TimeoutError' || code === 'ETIMEDOUT') {
    return fail('it stopped answering, also after retries. Try again later.');
  }
  if (transientCodes.has(code) || name === 'Error' || code !== '') {
    return fail(`no usable connection${code ? ` (${code})` : ''}. Check the endpoint URL and the network.`);
  }
  return fail('the answer could not be read.');
}
