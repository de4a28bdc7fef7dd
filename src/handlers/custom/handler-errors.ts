import { EndpointError, type ErrorCode } from '../../errors.ts';

/** Codes that a handler may give its errors: they speak of the request. 404 and 507 would speak of the model. */
const ownCodes: readonly string[] = [
  'invalid_request',
  'payload_too_large',
  'unsupported_media_type',
  'input_not_found',
  'unprocessable_image',
  'model_failed',
  'upstream_failed',
] satisfies ErrorCode[];
const maxMessageCharacters = 1000;

/**
 * What a handler threw as an error that may leave the program: `model_failed`, or the code that the author gave it. The
 * author's message is kept, without paths of the machine.
 *
 * @param modelDir - what lies in it is named by its path in the archive
 * @param prefix - put before the message
 */
export function handlerError(thrown: unknown, modelDir: string, prefix = ''): EndpointError {
  if (thrown instanceof EndpointError) return thrown;
  if (!(thrown instanceof Error)) {
    return new EndpointError('model_failed', `${prefix}The handler threw something that is no Error.`);
  }
  const code = 'code' in thrown && ownCodes.includes(String(thrown.code)) ? (thrown.code as ErrorCode) : 'model_failed';
  const text = withoutPaths(thrown.message, modelDir) || thrown.name;
  return new EndpointError(code, prefix + text, { cause: thrown });
}

/** A message without absolute paths, on one line. */
export function withoutPaths(message: string, modelDir: string): string {
  const inArchive = message.replaceAll(new RegExp(`(?:file://)?${quoted(modelDir)}/*`, 'g'), '');
  const bare = inArchive.replaceAll(/(?:file:\/\/)?(?<![\w:/.])\/[^\s/'"`:,;()<>]+(?:\/[^\s/'"`:,;()<>]*)+/g, '<path>');
  const line = bare.replaceAll(/\p{Cc}+/gu, ' ').trim();
  return line.length > maxMessageCharacters ? `${line.slice(0, maxMessageCharacters)}…` : line;
}

const quoted = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
