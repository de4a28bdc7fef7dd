import { readFile } from 'node:fs/promises';
import { checkTargetModel, modelNameOfTarget } from '../api/target-model.ts';
import { EndpointError } from '../errors.ts';
import type { ReceivedBody } from './request-body.ts';

/** Header by which SageMaker names the model. */
export const targetModelHeader = 'x-amzn-sagemaker-target-model';
const attributesHeader = 'x-amzn-sagemaker-custom-attributes';

/** Which model a request names. */
export interface WantedModel {
  /** TargetModel with its suffix: SageMaker's header, else the name that the request itself gives. */
  readonly target: string | undefined;
  /** The bundle in the archive, where something else than the request itself names the archive. */
  readonly bundle: string | undefined;
}

/**
 * Reads which model a request names. A header (or the path of SageMaker's `/models/{n}/invoke`) names the archive; the
 * request's own `model` is then the bundle in it, and without a header the model altogether. A JSON body says `model`
 * itself; another body is the images, and leaves it to `X-Amzn-SageMaker-Custom-Attributes: model=NAME`.
 *
 * @param archiveIsKnown - the archive is named by the path
 * @throws EndpointError `invalid_request`
 */
export async function wantedModel(
  headers: Readonly<Record<string, string>>,
  body: ReceivedBody,
  archiveIsKnown: boolean,
): Promise<WantedModel> {
  const header = headers[targetModelHeader];
  const named = await nameIn(headers, body);
  if (header !== undefined || archiveIsKnown) {
    const target = header === undefined ? undefined : checkTargetModel(header);
    return { target, bundle: named === undefined ? undefined : modelNameOfTarget(named) };
  }
  return { target: named === undefined ? undefined : targetOf(named), bundle: undefined };
}

const targetOf = (name: string): string => checkTargetModel(`${modelNameOfTarget(name)}.tar.gz`);

async function nameIn(headers: Readonly<Record<string, string>>, body: ReceivedBody): Promise<string | undefined> {
  const inAttributes = /(?:^|[;,\s])model=([^;,\s]+)/.exec(headers[attributesHeader] ?? '')?.[1];
  const inBody = isJson(headers['content-type']) ? modelOf(await bytesOf(body)) : undefined;
  if (inBody !== undefined && inAttributes !== undefined && inBody !== inAttributes) {
    throw new EndpointError('invalid_request', 'The body and the custom attributes name different models.');
  }
  return inBody ?? inAttributes;
}

const isJson = (contentType: string | undefined): boolean =>
  contentType?.toLowerCase().startsWith('application/json') ?? false;

async function bytesOf(body: ReceivedBody): Promise<Uint8Array> {
  return body.bytes ?? (await readFile(body.path));
}

/** Big tensors in JSON are not parsed here for a key that they don't have. */
const modelKey = Buffer.from('"model"');

function modelOf(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!text.includes(modelKey)) return undefined;
  let model: unknown;
  try {
    model = (JSON.parse(text.toString('utf8')) as { model?: unknown } | null)?.model;
  } catch (cause) {
    throw new EndpointError('invalid_request', 'The body is not valid JSON.', { cause });
  }
  if (model === undefined) return undefined;
  if (typeof model !== 'string') throw new EndpointError('invalid_request', '"model" must be a string.');
  return model;
}
