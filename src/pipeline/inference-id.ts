import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Prompts } from '../api/prompts.ts';
import type { InputReference } from '../connectors/image-source.ts';
import type { PublishTarget } from '../connectors/result-publisher.ts';

/** What makes two requests the same request. */
export interface RequestIdentity {
  readonly modelSha256: string;
  readonly inputs: readonly InputReference[];
  readonly outputUri?: string | undefined;
  readonly publish?: readonly PublishTarget[] | undefined;
  readonly prompts?: Prompts | undefined;
}

/**
 * SHA-256 (hex) over the model's digest, the inputs, the prompts and the output place. A body counts by its bytes. It stands in
 * `result.json`, so that the same inferenceId with another request is seen.
 */
export async function requestFingerprint(request: RequestIdentity): Promise<string> {
  const inputs: unknown[] = [];
  for (const input of request.inputs) inputs.push('body' in input ? await describeBody(input.body) : describe(input));
  const publish = (request.publish ?? []).map((target) =>
    target.kind === 'dicomweb' ? [target.kind, target.url] : [target.kind, target.datastoreId],
  );
  const places = publish.length === 0 ? [] : [publish];
  const prompts = request.prompts ? [{ prompts: describePrompts(request.prompts) }] : [];
  const text = JSON.stringify([request.modelSha256, inputs, request.outputUri ?? null, ...places, ...prompts]);
  return createHash('sha256').update(text).digest('hex');
}

/** The default inferenceId: 32 hex digits of the fingerprint. */
export const defaultInferenceId = (fingerprint: string): string => fingerprint.slice(0, 32);

function describe(input: Exclude<InputReference, { body: unknown }>): unknown {
  const series = input.seriesInstanceUid ?? null;
  if ('dicomweb' in input) return ['dicomweb', input.dicomweb, input.studyInstanceUid, series];
  return 'uri' in input ? ['uri', input.uri, series] : ['image-set', input.datastoreId, input.imageSetId, series];
}

/** In one order of the keys, whatever the request's was. */
const describePrompts = ({ coordinates, points, pointLabels }: Prompts): unknown => [
  coordinates,
  points,
  pointLabels ?? null,
];

async function describeBody(body: { readonly path: string; readonly contentType: string }): Promise<unknown> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(body.path)) hash.update(chunk as Uint8Array);
  return ['body', hash.digest('hex')];
}
