import { headerLengthHeader, sagemakerBinaryType } from '../../api/oip.ts';
import type { Network } from '../../imaging/network.ts';
import type { HandlerContext, HandlerResult } from '../contract.ts';
import { readInputs } from './read-inputs.ts';
import type { TensorCall } from './tensor-call.ts';
import { wantedOutputs, writeOutputs } from './write-outputs.ts';

export interface RunTensorsOptions {
  readonly network: Network;
  readonly context: Pick<HandlerContext, 'signal' | 'waitedMs'>;
  readonly modelName: string;
  readonly modelVersion: string;
  readonly maxBytes: number;
  setHeader(name: string, value: string): void;
}

/**
 * Runs the network on a request's own tensors: no transforms, no images.
 *
 * @throws EndpointError `invalid_request`, `payload_too_large`; what the network throws; the signal's reason
 */
export async function runTensors(call: TensorCall, options: RunTensorsOptions): Promise<HandlerResult> {
  const { network, context } = options;
  const startedAt = performance.now();
  const { request } = call;
  const wanted = wantedOutputs(request, network);
  const inputs = readInputs(request.inputs, call.binary, network);
  const readAt = performance.now();
  const results = await network.run(inputs, context.signal);
  const ranAt = performance.now();
  const head = {
    model_name: options.modelName,
    model_version: options.modelVersion,
    ...(request.id === undefined || request.id === '' ? {} : { id: request.id }),
  };
  const { body, jsonBytes } = writeOutputs(head, wanted, results, options.maxBytes);
  const { queue, load } = context.waitedMs;
  const timingsMs = {
    queue,
    load,
    preprocess: readAt - startedAt,
    inference: ranAt - readAt,
    postprocess: performance.now() - ranAt,
    total: queue + load + performance.now() - startedAt,
  };
  if (jsonBytes === undefined) return { body, contentType: 'application/json', timingsMs };
  if (call.form === 'sagemaker') {
    return { body, contentType: `${sagemakerBinaryType};json-header-size=${jsonBytes}`, timingsMs };
  }
  options.setHeader(headerLengthHeader, String(jsonBytes));
  return { body, contentType: 'application/octet-stream', timingsMs };
}
