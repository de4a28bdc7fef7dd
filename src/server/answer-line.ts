import { readFile } from 'node:fs/promises';
import { EndpointError } from '../errors.ts';
import type { HandlerAnswer } from './answer.ts';

/**
 * A handler's answer as one line of JSON, without its end.
 *
 * @throws EndpointError `model_failed` when it is no JSON, or a failure in the handler's own words
 */
export async function answerLine({ result }: HandlerAnswer): Promise<Buffer> {
  if (result.status !== undefined && result.status >= 400) {
    throw new EndpointError('model_failed', `The handler answered with status ${result.status}.`);
  }
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(result.contentType)) {
    throw new EndpointError('model_failed', 'The handler did not answer this line with JSON.');
  }
  const bytes = result.bodyPath === undefined ? Buffer.from(result.body ?? []) : await readFile(result.bodyPath);
  if (bytes.length > 0 && !bytes.includes('\n') && !bytes.includes('\r')) return bytes;
  try {
    return Buffer.from(JSON.stringify(JSON.parse(bytes.toString('utf8'))));
  } catch (cause) {
    throw new EndpointError('model_failed', 'The handler answered with JSON that is none.', { cause });
  }
}

/** A failure as one line of JSON, without its end. */
export const errorLine = (error: EndpointError): Buffer => Buffer.from(JSON.stringify({ error }));
