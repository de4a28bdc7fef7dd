import { EndpointError } from '../../errors.ts';
import type { NetworkSignature, TensorInfo } from '../../imaging/tensor.ts';
import type { DetectorOptions } from './detector-options.ts';

/** Names that tell the head and the level, 0 being the finest. */
const named = /^(classification|box_regression)[._-]?(\d{1,2})$/;

/**
 * The outputs of a detector's network, all classifications and then all box regressions, each from the finest level to
 * the coarsest: by name where all are called `classification_0`, `box_regression_0` and so on; else in the file's order,
 * which is the order of RetinaNet's own list.
 *
 * @throws EndpointError `unsupported_bundle`: another number of outputs or of channels than the bundle's anchors need
 */
export function detectorHeads(
  { outputs }: NetworkSignature,
  { anchors, classes }: Pick<DetectorOptions, 'anchors' | 'classes'>,
): readonly TensorInfo[] {
  const levels = anchors.levels.length;
  if (outputs.length !== 2 * levels) {
    throw refusal(
      `The network has ${outputs.length} outputs; a detector of ${levels} levels has ${2 * levels}: the classification of each level, then the box regression of each. Export it with use_list_output`,
    );
  }
  const heads = ordered(outputs, levels);
  const perPlace = (anchors.levels[0] as readonly unknown[]).length;
  for (const [n, { name, dims }] of heads.entries()) {
    const [what, channels] = n < levels ? ['classification', perPlace * classes] : ['box regression', perPlace * 6];
    if (dims.length !== 0 && dims.length !== 5)
      throw refusal(`The output '${name}' has ${dims.length} axes; N, C and three of space were expected`);
    if (typeof dims[1] === 'number' && dims[1] > 0 && dims[1] !== channels)
      throw refusal(`The output '${name}', the ${what} of a level, has ${dims[1]} channels; ${channels} were expected`);
  }
  return heads;
}

function ordered(outputs: readonly TensorInfo[], levels: number): readonly TensorInfo[] {
  const matches = outputs.map(({ name }) => named.exec(name));
  if (matches.every((match) => match === null)) return outputs;
  const heads: (TensorInfo | undefined)[] = Array.from({ length: outputs.length }, () => undefined);
  for (const [n, match] of matches.entries()) {
    const [, what, level = ''] = match ?? [];
    if (what !== undefined && Number(level) < levels)
      heads[(what === 'classification' ? 0 : levels) + Number(level)] = outputs[n];
  }
  if (heads.every((head) => head !== undefined)) return heads;
  throw refusal(
    `The network's outputs are called ${outputs.map(({ name }) => name.slice(0, 60)).join(', ')}: all must be called classification_0 to classification_${levels - 1} and box_regression_0 to box_regression_${levels - 1}, or none`,
  );
}

const refusal = (message: string): EndpointError =>
  new EndpointError('unsupported_bundle', `${message}.`, { details: { file: 'models/model.onnx' } });
