import { z } from 'zod';
import { EndpointError } from '../errors.ts';
import { describeIssues } from './invocation.ts';

const prefix = 'x-amzn-sagemaker-';
const ascii = z
  .string()
  .max(1024)
  .regex(/^[\u0000-\u007f]*$/, 'must be US-ASCII');
const seconds = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, 'must be a whole number of seconds')
    .transform(Number)
    .pipe(z.number().min(least, `must be at least ${least}`).max(most, `must be at most ${most}`));

/** The headers of SageMaker Runtime's `InvokeEndpointAsync`, with the bounds of its service model. */
const headersSchema = z.object({
  'content-type': ascii.optional(),
  accept: ascii.optional(),
  'custom-attributes': ascii.optional(),
  'inference-id': z
    .string()
    .regex(/^[\u0021-\u007e][\u0020-\u007e]{0,63}$/, 'must be 1 to 64 printable characters')
    .optional(),
  inputlocation: z
    .string()
    .max(1024)
    .regex(/^(s3|file):\/\//, 'must begin with s3:// (or file:// on this machine)')
    .optional(),
  requestttlseconds: seconds(60, 21_600).default(21_600),
  invocationtimeoutseconds: seconds(1, 3_600).default(900),
  s3outputpathextension: z
    .string()
    .max(512)
    .regex(/^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$/, "must hold letters, digits and !_.*'()/- only")
    .optional(),
  filename: z
    .string()
    .max(32)
    .regex(/^(?!.*\..*\.)[a-zA-Z0-9][a-zA-Z0-9-_.]*$/, 'must hold letters, digits, "-", "_" and at most one "."')
    .optional(),
});

/** What an `InvokeEndpointAsync` call asks for, besides its body. */
export interface AsyncInvocationHeaders {
  readonly contentType: string | undefined;
  readonly accept: string | undefined;
  readonly customAttributes: string | undefined;
  readonly inferenceId: string | undefined;
  readonly inputUri: string | undefined;
  readonly ttlSeconds: number;
  readonly timeoutSeconds: number;
  /** Folder segments that go behind the output prefix. */
  readonly pathExtension: readonly string[];
  readonly fileName: string | undefined;
}

/**
 * Parses the headers.
 *
 * @param header - a request's header by its lower-case name
 * @throws EndpointError `invalid_request`, naming the header
 */
export function parseAsyncHeaders(header: (name: string) => string | undefined): AsyncInvocationHeaders {
  const given = Object.fromEntries(
    Object.keys(headersSchema.shape).flatMap((name) => {
      const value = header(prefix + name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const parsed = headersSchema.safeParse(given);
  if (!parsed.success) {
    throw new EndpointError('invalid_request', `X-Amzn-SageMaker header: ${describeIssues(parsed.error)}.`);
  }
  const headers = parsed.data;
  return {
    contentType: headers['content-type'],
    accept: headers.accept,
    customAttributes: headers['custom-attributes'],
    inferenceId: headers['inference-id'],
    inputUri: headers.inputlocation,
    ttlSeconds: headers.requestttlseconds,
    timeoutSeconds: headers.invocationtimeoutseconds,
    pathExtension: segmentsOf(headers.s3outputpathextension ?? ''),
    fileName: headers.filename,
  };
}

/** SageMaker's pattern lets dot segments through; they would lead out of the output prefix. */
function segmentsOf(extension: string): string[] {
  const segments = extension.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..')) {
    throw new EndpointError('invalid_request', 'X-Amzn-SageMaker header: s3outputpathextension: has dot segments.');
  }
  return segments;
}
