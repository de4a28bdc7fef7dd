import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvokeEndpointCommand, ModelError } from '@aws-sdk/client-sagemaker-runtime';
import type { InvocationAnswer } from '../api/invocation.ts';
import { EndpointError, type ErrorBody, errorTable } from '../errors.ts';
import { runtimeClient } from './endpoint-clients.ts';
import { UsageError } from './exit-codes.ts';
import { folderUri, isUri } from './server-uri.ts';
import { createTerminal, formatTable } from './terminal.ts';

/** What `map-endpoint invoke` was told. */
export interface InvokeFlags {
  readonly endpointUrl: string;
  readonly targetModel: string;
  readonly datastore?: string;
  readonly imageSet?: string;
  readonly input?: string;
  readonly output?: string;
  readonly json: boolean;
}

/** One call of `InvokeEndpoint`. */
export interface Invocation {
  readonly endpointUrl: string;
  readonly targetModel: string;
  readonly body: Uint8Array | string;
  readonly contentType: string;
}

/**
 * Calls `InvokeEndpoint` with `TargetModel` through the AWS SDK.
 *
 * @throws EndpointError the container's own error, unwrapped from SageMaker's `ModelError`
 */
export async function invokeModel(invocation: Invocation): Promise<InvocationAnswer> {
  const client = runtimeClient(invocation.endpointUrl);
  try {
    const response = await client.send(
      new InvokeEndpointCommand({
        EndpointName: 'map-endpoint',
        TargetModel: invocation.targetModel,
        ContentType: invocation.contentType,
        Accept: 'application/json',
        Body: invocation.body,
      }),
    );
    return JSON.parse(Buffer.from(response.Body ?? []).toString('utf8')) as InvocationAnswer;
  } catch (thrown) {
    throw thrown instanceof ModelError ? containerError(thrown) : thrown;
  } finally {
    client.destroy();
  }
}

/** The error that the container answered with, as far as its body can be read. */
function containerError(thrown: ModelError): unknown {
  try {
    const { error } = JSON.parse(thrown.OriginalMessage ?? '') as { error: ErrorBody };
    return error.code in errorTable ? EndpointError.fromBody(error) : thrown;
  } catch {
    return thrown;
  }
}

/** `map-endpoint invoke`. */
export async function runInvoke(flags: InvokeFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const request = await requestOf(flags);
  terminal.progress(`${flags.targetModel}: working`);
  const answer = await invokeModel({ endpointUrl: flags.endpointUrl, targetModel: flags.targetModel, ...request });
  const saved = await saveFiles(answer, flags.output);
  terminal.json(saved);
  for (const line of describeAnswer(saved)) terminal.line(line);
}

/** The answer for people: segments, files, times. */
export function describeAnswer(answer: InvocationAnswer): string[] {
  const { model, measurements, classification, detections, outputs, warnings, timingsMs } = answer;
  const segments = measurements.map((one) => [one.segment, one.value, one.voxels, one.volumeMl.toFixed(1)] as const);
  return [
    `${model.name} ${model.version}, inference ${answer.inferenceId}`,
    ...(segments.length > 0 ? formatTable([['segment', 'value', 'voxels', 'ml'], ...segments]) : []),
    ...(classification
      ? formatTable([
          ['class', 'name', classification.meaning],
          ...classification.classes.map((one) => [one.class, one.name ?? '', one.value] as const),
        ])
      : []),
    ...(detections
      ? formatTable([
          ['label', 'score', `box (${detections.mode}, ${detections.unit}, ${detections.space})`],
          ...detections.boxes.map(({ name, label, score, box }) => [name ?? label, score, box.join(' ')] as const),
        ])
      : []),
    ...outputs.map((output) => `${output.type}: ${output.uri ?? output.fileName} (${output.bytes} bytes)`),
    ...warnings.map((warning) => `warning: ${warning}`),
    `time: ${(timingsMs.total / 1000).toFixed(2)} s (${Object.entries(timingsMs)
      .filter(([phase, ms]) => phase !== 'total' && ms >= 0.5)
      .map(([phase, ms]) => `${phase} ${Math.round(ms)} ms`)
      .join(', ')})`,
  ];
}

async function requestOf(flags: InvokeFlags): Promise<{ body: Uint8Array | string; contentType: string }> {
  const byId = flags.datastore !== undefined || flags.imageSet !== undefined;
  if (byId === (flags.input !== undefined)) {
    throw new UsageError('Give either --datastore and --image-set, or --input.');
  }
  const json = (inputs: readonly object[]) => ({
    contentType: 'application/json',
    body: JSON.stringify({
      inputs,
      ...(flags.output === undefined ? {} : { output: { uri: folderUri(flags.output, flags.endpointUrl) } }),
    }),
  });
  if (byId) {
    if (!flags.datastore || !flags.imageSet) throw new UsageError('--datastore and --image-set go together.');
    return json([{ datastoreId: flags.datastore, imageSetId: flags.imageSet }]);
  }
  const input = flags.input as string;
  const isFile = !isUri(input) && (await statInput(input)).isFile();
  return isFile
    ? { body: await readFile(input), contentType: contentTypeOf(input) }
    : json([{ uri: folderUri(input, flags.endpointUrl) }]);
}

async function statInput(path: string) {
  try {
    return await stat(path);
  } catch (cause) {
    throw new EndpointError('input_not_found', `There is no file or folder "${path}".`, { cause });
  }
}

function contentTypeOf(path: string): string {
  const name = basename(path).toLowerCase();
  if (name.endsWith('.zip')) return 'application/zip';
  if (name.endsWith('.nii') || name.endsWith('.nii.gz')) return 'application/x-nifti';
  if (name.endsWith('.png')) return 'image/png';
  throw new UsageError('--input takes a folder, a .zip of DICOM files, or a .nii, .nii.gz or .png file.');
}

/** Writes the files that an answer carries, and puts their URIs in place of their bytes. */
async function saveFiles(answer: InvocationAnswer, output: string | undefined): Promise<InvocationAnswer> {
  if (!answer.outputs.some((file) => file.base64 !== undefined)) return answer;
  const folder = resolve(output ?? answer.inferenceId);
  await mkdir(folder, { recursive: true });
  const outputs = await Promise.all(
    answer.outputs.map(async ({ base64, ...file }) => {
      if (base64 === undefined) return file;
      const path = join(folder, basename(file.fileName));
      await writeFile(path, Buffer.from(base64, 'base64'));
      return { ...file, uri: pathToFileURL(path).href };
    }),
  );
  return { ...answer, outputs };
}
