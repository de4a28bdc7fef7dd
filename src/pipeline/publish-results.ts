import { createHash } from 'node:crypto';
import type { InvocationAnswer, OutputDescription } from '../api/invocation.ts';
import type { OutputSink } from '../connectors/output-sink.ts';
import { EndpointError } from '../errors.ts';
import type { OutputFile } from './imaging-job.ts';

/** Where the results of a request go, checked before any work is done. */
export interface ResultPlace {
  readonly sink: OutputSink;
  /** `{output.uri}/{model}/{inferenceId}/` */
  readonly prefixUri: string;
  /** The `result.json` of the same request, when it has run before. */
  readonly earlier?: unknown;
}

/**
 * Finds the sink for an output URI and looks whether the prefix is free for this request.
 *
 * @throws EndpointError `conflict` when another request has used the inferenceId there; `forbidden`, `invalid_request`
 */
export async function findResultPlace(
  sinks: readonly OutputSink[],
  outputUri: string,
  names: { readonly model: string; readonly inferenceId: string; readonly fingerprint: string },
  signal: AbortSignal,
): Promise<ResultPlace> {
  const sink = sinks.find((candidate) => candidate.accepts(outputUri));
  if (!sink) throw new EndpointError('invalid_request', 'output.uri must begin with s3:// or file://.');
  const prefixUri = `${outputUri.replace(/\/+$/, '')}/${folderOf(names.model)}/${names.inferenceId}/`;
  const earlier = await sink.readResult(prefixUri, signal);
  if (earlier !== undefined && (earlier as { fingerprint?: unknown } | null)?.fingerprint !== names.fingerprint) {
    throw new EndpointError(
      'conflict',
      `The inferenceId ${names.inferenceId} was used there before with other inputs, model or outputs. Use another one.`,
    );
  }
  return { sink, prefixUri, ...(earlier === undefined ? {} : { earlier }) };
}

/** The model's name as folders: a name of map.json may hold anything. */
function folderOf(model: string): string {
  const segments = model.split('/').map((segment) => segment.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+$/, '_'));
  return segments.filter((segment) => segment !== '').join('/') || '_';
}

/** Describes a file that goes with the answer itself. */
export function describeOutput(file: OutputFile, uri?: string): OutputDescription {
  return {
    type: file.type,
    ...(uri === undefined ? {} : { uri }),
    fileName: file.fileName,
    contentType: file.contentType,
    bytes: file.bytes.length,
    sha256: createHash('sha256').update(file.bytes).digest('hex'),
    ...(file.sopInstanceUid === undefined ? {} : { sopInstanceUid: file.sopInstanceUid }),
  };
}

/**
 * Writes all files, then `result.json`; on any failure what was written is taken away again. `result.json` is the answer
 * and, beside it, the request's fingerprint.
 *
 * @param answerFor - builds the answer when the outputs are written (its timings then include the writing)
 */
export async function publishResults(
  place: ResultPlace,
  files: readonly OutputFile[],
  fingerprint: string,
  answerFor: (outputs: readonly OutputDescription[]) => Promise<InvocationAnswer>,
  signal: AbortSignal,
): Promise<InvocationAnswer> {
  const transaction = await place.sink.begin(place.prefixUri, signal);
  try {
    const outputs: OutputDescription[] = [];
    for (const file of files) {
      outputs.push(describeOutput(file, await transaction.write(file.fileName, file.bytes, file.contentType)));
    }
    const answer = await answerFor(outputs);
    await transaction.commit({ ...answer, fingerprint });
    return answer;
  } catch (error) {
    await transaction.abort();
    throw error;
  }
}
