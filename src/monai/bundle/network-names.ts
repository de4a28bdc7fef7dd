import { EndpointError } from '../../errors.ts';
import type { Network } from '../../imaging/network.ts';
import type { NetworkSignature, TensorInfo } from '../../imaging/tensor.ts';
import type { BoundNetwork } from '../inferers/inferer.ts';
import type { BundleMetadata } from './metadata.ts';

/** Names of the ONNX file's input and output that the archive's `map.json` may give. */
export interface IoNames {
  readonly input?: string | undefined;
  readonly output?: string | undefined;
}

/**
 * Which input and output of the network the bundle means: the only ones by position; of several those that
 * the metadata names, else `io` of `map.json`.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function bindNetwork(network: Network, metadata: BundleMetadata, io: IoNames): BoundNetwork {
  const names = networkNames(network, metadata, io);
  return { network, ...names };
}

export function networkNames(
  { inputs, outputs }: NetworkSignature,
  metadata: BundleMetadata,
  io: IoNames,
): { readonly input: string; readonly output: string } {
  const keysOf = (formats: BundleMetadata['inputs']): string[] => formats.map(({ key }) => key);
  const input = pick('input', inputs, keysOf(metadata.inputs), io.input);
  const output = pick('output', outputs, keysOf(metadata.outputs), io.output);
  if (inputs.length !== 1) throw refusal(`The network has ${inputs.length} inputs; only one is supported.`);
  if (input.type !== 'float32') throw refusal(`The network's input is ${input.type}; only float32 is supported.`);
  return { input: input.name, output: output.name };
}

function pick(
  what: string,
  infos: readonly TensorInfo[],
  keys: readonly string[],
  named: string | undefined,
): TensorInfo {
  const candidates = infos.length === 1 ? infos : infos.filter(({ name }) => keys.includes(name));
  const found = candidates.length === 1 ? candidates[0] : infos.find(({ name }) => name === named);
  if (found) return found;
  const names = infos.map(({ name }) => name).join(', ');
  throw refusal(`The network has the ${what}s ${names}: name one in 'io' of map.json or in the metadata.`);
}

const refusal = (message: string): EndpointError =>
  new EndpointError('unsupported_bundle', message, { details: { file: 'models/model.onnx' } });
