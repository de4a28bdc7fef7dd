/**
 * The error table: every failure that leaves the program has one of these codes. `docs/errors.md` is checked against
 * it by a test. 404 and 507 speak of the *model* (SageMaker acts on them), never of the data.
 */
export const errorTable = {
  invalid_request: { status: 400, when: 'The request is malformed: body, header, parameter or value.' },
  unauthorized: { status: 401, when: 'A token is required and was not given or is wrong.' },
  forbidden: { status: 403, when: 'The URI, data store, host or origin is outside what this endpoint may touch.' },
  model_not_found: { status: 404, when: 'No such model is loaded (managed) or stored (self-managed).' },
  model_already_loaded: { status: 409, when: 'POST /models names a model that is loaded.' },
  conflict: { status: 409, when: 'The inferenceId was used before with other inputs, model or outputs.' },
  payload_too_large: { status: 413, when: 'The request or the answer exceeds its limit.' },
  unsupported_media_type: { status: 415, when: 'The content type or encoding of the body is not supported.' },
  input_not_found: { status: 422, when: 'The image set, object, folder or series does not exist.' },
  unprocessable_image: {
    status: 422,
    when: 'The images cannot be used: damaged, incomplete, uneven, mixed or ambiguous.',
  },
  unsupported_bundle: { status: 422, when: 'The bundle uses something that this program does not run.' },
  invalid_archive: { status: 422, when: 'The model archive is damaged, hostile or incomplete.' },
  model_failed: { status: 500, when: 'The network or a handler failed on this input.' },
  worker_crashed: { status: 500, when: 'A process died while it worked on this request.' },
  internal: { status: 500, when: 'A fault of this program.' },
  upstream_failed: { status: 502, when: 'A service that the request needs failed, refused us, or sent damaged data.' },
  overloaded: {
    status: 503,
    when: 'The queue is full or the server is draining; Retry-After tells when to come back.',
  },
  deadline_exceeded: { status: 504, when: 'The request took longer than its deadline, or was cancelled.' },
  insufficient_memory: { status: 507, when: 'The model does not fit in memory now.' },
} as const satisfies Record<string, { status: number; when: string }>;

/** A code of {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable;

/** What crosses a process boundary or leaves by HTTP. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * A failure with a code. The message says what failed, where, and what to do; it never holds patient data,
 * credentials or paths of the machine (UIDs may stand in it, but are not logged). `cause` stays in the process.
 */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: { details?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }

  /** HTTP status of the code. */
  get status(): number {
    return errorTable[this.code].status;
  }

  /** The form that crosses processes and stands in `{ "error": … }`. */
  toJSON(): ErrorBody {
    return { code: this.code, message: this.message, ...(this.details ? { details: this.details } : {}) };
  }

  /** Rebuilds an error that another process sent. */
  static fromBody(body: ErrorBody): EndpointError {
    return new EndpointError(body.code, body.message, body.details ? { details: { ...body.details } } : {});
  }
}

/**
 * Any thrown value as an {@link EndpointError}: unknown ones become `internal` without their inner text, which may
 * hold anything.
 */
export function asEndpointError(thrown: unknown): EndpointError {
  if (thrown instanceof EndpointError) return thrown;
  if (thrown instanceof Error && thrown.name === 'AbortError' && thrown.cause instanceof EndpointError)
    return thrown.cause;
  return new EndpointError('internal', 'An unexpected fault stopped the work; the log of the server has its trace.', {
    cause: thrown,
  });
}

/** Throws the signal's reason as an {@link EndpointError} (`deadline_exceeded` when it carries none). */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** The error that an aborted signal stands for. */
export function abortError(signal: AbortSignal): EndpointError {
  return signal.reason instanceof EndpointError
    ? signal.reason
    : new EndpointError('deadline_exceeded', 'The work was cancelled before it finished.');
}
