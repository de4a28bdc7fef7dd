import { EndpointError } from '../../errors.ts';
import type { NetworkSignature, TensorInfo } from '../../imaging/tensor.ts';
import type { NetworkTraits } from '../inferers/inferer.ts';
import { describeShape, fits, fixedShape, spatialRank } from '../inferers/network-form.ts';
import type { BundleMetadata } from './metadata.ts';

/** Names of the ONNX file's input and output that the archive's `map.json` may give. */
export interface IoNames {
  readonly input?: string | undefined;
  readonly output?: string | undefined;
}

/** Element types of inputs that are fed, the image rounded to them. */
const inputTypes = ['float32', 'float16', 'float64'];

/**
 * Which input and output of the network the bundle means: the only ones by position; of several those that
 * the metadata names, else `io` of `map.json`.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function networkEnds(
  { inputs, outputs }: NetworkSignature,
  metadata: BundleMetadata,
  io: IoNames,
): { readonly input: TensorInfo; readonly output: TensorInfo } {
  return {
    input: networkInput({ inputs }, metadata, io),
    output: pick('output', outputs, keysOf(metadata.outputs), io.output),
  };
}

/** The input that the bundle means: the image's. */
export function networkInput(
  { inputs }: Pick<NetworkSignature, 'inputs'>,
  metadata: BundleMetadata,
  io: IoNames,
): TensorInfo {
  const input = pick('input', inputs, keysOf(metadata.inputs), io.input);
  if (inputs.length !== 1) throw refusal(`The network has ${inputs.length} inputs; only one is supported.`);
  if (!inputTypes.includes(input.type))
    throw refusal(`The network's input is ${input.type}; supported are ${inputTypes.join(', ')}.`);
  return input;
}

const keysOf = (formats: BundleMetadata['inputs']): string[] => formats.map(({ key }) => key);

/**
 * Checks that a network can be run by an inferer: number of spatial axes, and the window that the bundle cuts against
 * the sizes that the ONNX file fixes.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function checkInferer(input: TensorInfo, { windowShape, networkAxes }: NetworkTraits): void {
  const rank = spatialRank(input);
  if (rank === undefined) return;
  if (rank !== 2 && rank !== 3)
    throw refusal(`The network's input has ${input.dims.length} axes; N, C and two or three of space are supported.`);
  if (networkAxes !== undefined && networkAxes !== rank)
    throw refusal(`The network takes images of ${rank} axes; the bundle's inferer cuts windows of ${networkAxes}.`);
  if (windowShape && !fits(fixedShape(input), windowShape)) {
    throw refusal(
      `The network takes ${describeShape(fixedShape(input))} voxels and nothing else, the bundle's inferer cuts windows of ${windowShape.join(' × ')}. Export the network with open axes, or with the bundle's roi_size.`,
    );
  }
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
