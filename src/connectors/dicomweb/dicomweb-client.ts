import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EndpointError } from '../../errors.ts';
import type { AllowedUris } from '../allowed-uris.ts';
import { intoFile } from '../into-file.ts';
import { readStream } from '../read-stream.ts';
import { type Attempt, defaultRetryPolicy, type RetryPolicy, withRetry } from '../retry.ts';
import { watched } from '../watched.ts';

export interface DicomWebOptions {
  readonly allowed: AllowedUris;
  /** `Authorization` by URL prefix. */
  readonly authorization?: readonly { readonly prefix: string; readonly value: string }[] | undefined;
  readonly retry?: RetryPolicy;
}

/** One request, below the root of a DICOMweb server. */
export interface DicomWebRequest {
  /** Transaction, for messages: `WADO-RS RetrieveSeries`. */
  readonly action: string;
  /** Path and query behind the server's root, beginning with a slash. */
  readonly path: string;
  readonly method?: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Statuses that are answers; any other is a failure. */
  readonly accepts: readonly number[];
  readonly signal: AbortSignal;
}

/** An answer whose body was read as the caller wanted. */
export interface DicomWebAnswer<T> {
  readonly status: number;
  readonly contentType: string;
  readonly body: T;
}

/** The status of an answer that is no success. Its text stays out: it may quote anything. */
class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

/**
 * Calls to DICOMweb servers (PS3.18) under the allowed URLs, each with its retries. A redirect is not followed: it could
 * lead past the allow-list.
 */
export class DicomWebClient {
  readonly #options: DicomWebOptions;
  readonly #retry: RetryPolicy;

  constructor(options: DicomWebOptions) {
    this.#options = options;
    this.#retry = options.retry ?? defaultRetryPolicy;
  }

  /**
   * The root of a server, checked.
   *
   * @throws EndpointError `invalid_request`, `forbidden`
   */
  async root(url: string): Promise<string> {
    const checked = await this.#options.allowed.check(url);
    if (checked.scheme !== 'http') {
      throw new EndpointError('invalid_request', 'A DICOMweb URL must begin with http:// or https://.');
    }
    return `${checked.origin}${checked.path}`;
  }

  /** The whole body in memory. */
  async read(root: string, request: DicomWebRequest, limitBytes: number): Promise<DicomWebAnswer<Uint8Array>> {
    return await this.#call(root, request, (body, attempt) => readStream(body, limitBytes, attempt));
  }

  /** The body in a new file. */
  async download(
    root: string,
    request: DicomWebRequest,
    path: string,
    limitBytes: number,
  ): Promise<DicomWebAnswer<undefined>> {
    return await this.#call(root, request, async (body, attempt) => {
      const watch = watched(attempt, limitBytes, () => tooLarge(limitBytes));
      await intoFile(path, { mode: 0o600 }, (file) => pipeline(body, watch, file, { signal: attempt.signal }));
      return undefined;
    });
  }

  async #call<T>(
    root: string,
    request: DicomWebRequest,
    take: (body: Readable, attempt: Attempt) => Promise<T>,
  ): Promise<DicomWebAnswer<T>> {
    const { body, signal, method = 'GET' } = request;
    // An upload gives no sign of life until it is through: allow for 256 KiB/s besides.
    const stallTimeoutMs = this.#retry.stallTimeoutMs + (body?.length ?? 0) / 262.144;
    const run = async (attempt: Attempt): Promise<DicomWebAnswer<T>> => {
      const answer = await fetch(`${root}${request.path}`, {
        method,
        headers: { ...request.headers, ...this.#authorization(root) },
        redirect: 'manual',
        signal: attempt.signal,
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
      });
      attempt.alive();
      if (!request.accepts.includes(answer.status)) {
        await answer.body?.cancel();
        throw new HttpFailure(answer.status);
      }
      const contentType = answer.headers.get('content-type') ?? '';
      const stream = answer.body ? Readable.fromWeb(answer.body as never) : Readable.from([]);
      return { status: answer.status, contentType, body: await take(stream, attempt) };
    };
    try {
      return await withRetry(run, { policy: { ...this.#retry, stallTimeoutMs }, signal, isTransient });
    } catch (error) {
      throw failureOf(request.action, error);
    }
  }

  #authorization(root: string): Record<string, string> {
    const found = this.#options.authorization?.find(({ prefix }) => root === prefix || root.startsWith(`${prefix}/`));
    return found ? { authorization: found.value } : {};
  }
}

/** A server that throttles, fails or drops us may do better; a refusal stays one. */
function isTransient(error: unknown): boolean {
  if (error instanceof HttpFailure) return error.status === 408 || error.status === 429 || error.status >= 500;
  // undici: "fetch failed" and "terminated", with the socket's error as the cause.
  return error instanceof TypeError || (error as { code?: string } | undefined)?.code !== undefined;
}

function failureOf(action: string, error: unknown): EndpointError {
  if (error instanceof EndpointError) return error;
  const status = error instanceof HttpFailure ? error.status : undefined;
  const fail = (reason: string) =>
    new EndpointError('upstream_failed', `DICOMweb ${action} failed: ${reason}`, {
      details: { service: 'DICOMweb', action, ...(status === undefined ? {} : { status }) },
      cause: error,
    });
  if (status === 404 || status === 410) {
    return new EndpointError('input_not_found', 'The DICOMweb server has no such study, series or instance.');
  }
  if (status === 401 || status === 403) {
    return fail('access denied. Give DICOMWEB_AUTHORIZATION credentials that may do this.');
  }
  if (status === 429) return fail('it is throttled, also after retries. Send fewer requests at once.');
  if (status !== undefined && status >= 500) return fail(`status ${status}, also after retries. Try again later.`);
  if (status !== undefined) return fail(`it answered with status ${status}.`);
  if ((error as Error | undefined)?.name === 'StallError') {
    return fail('it stopped answering, also after retries. Try again later.');
  }
  return fail('no usable connection. Check the URL and the network.');
}

function tooLarge(limitBytes: number): EndpointError {
  return new EndpointError('payload_too_large', `A DICOMweb answer has more than ${limitBytes} bytes.`);
}
