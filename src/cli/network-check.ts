import { EndpointError } from '../errors.ts';
import type { NetworkSignature, Tensor, TensorInfo } from '../imaging/tensor.ts';
import type { BundleMetadata, DataFormat } from '../monai/bundle/metadata.ts';

/** `dtype` of the metadata (numpy's and torch's words) → ONNX element type. */
const dtypes: Readonly<Record<string, string>> = {
  float: 'float32',
  double: 'float64',
  half: 'float16',
  long: 'int64',
  int: 'int32',
  short: 'int16',
};

/**
 * Compares what `metadata.json` says of the network's input and output with the ONNX file, and the answer to a trial.
 *
 * @param answer - outputs of a trial run, by name
 * @returns what differs and does no harm: names, element types
 * @throws EndpointError `unsupported_bundle`: channels or sizes differ, so that labels would get wrong names or the
 *   network could not run
 */
export function checkAgainstMetadata(
  metadata: BundleMetadata,
  signature: NetworkSignature,
  ends: { readonly input: TensorInfo; readonly output: TensorInfo },
  answer: Readonly<Record<string, Tensor>>,
): string[] {
  const { input, output } = ends;
  const [told, given] = [formatOf(metadata.inputs, input.name), formatOf(metadata.outputs, output.name)];
  const notes: string[] = [];
  const compare = (what: string, info: TensorInfo, format: DataFormat | undefined, dims: readonly unknown[]): void => {
    if (!format) {
      notes.push(`metadata.json tells nothing of the network's ${what} "${info.name}"`);
      return;
    }
    if (format.key !== info.name) {
      notes.push(`the network calls its ${what} "${info.name}", metadata.json "${format.key}": taken by position`);
    }
    const channels = dims[1];
    if (format.channels !== undefined && typeof channels === 'number' && channels > 0 && channels !== format.channels) {
      throw refusal(`gives its ${what} ${format.channels} channels, models/model.onnx ${channels}`);
    }
    const type = format.dtype === undefined ? undefined : (dtypes[format.dtype] ?? format.dtype);
    if (type !== undefined && type !== info.type) {
      notes.push(`metadata.json calls the ${what} ${format.dtype}, the network takes ${info.type}`);
    }
    const sizes = info.dims.slice(2);
    const shape = format.spatialShape;
    if (shape?.length !== sizes.length) return;
    sizes.forEach((size, axis) => {
      const expected = shape[axis];
      if (typeof size === 'number' && size > 0 && typeof expected === 'number' && size !== expected) {
        throw refusal(`gives its ${what} ${shape.join(' × ')} voxels, models/model.onnx fixes ${sizes.join(' × ')}`);
      }
    });
  };
  compare('input', input, told, input.dims);
  compare('output', output, given, answer[output.name]?.dims ?? output.dims);
  if (signature.inputs.length > 1) notes.push(`the network has ${signature.inputs.length} inputs`);
  return notes;
}

/** What the metadata says of a tensor: by its name, else the only thing that it speaks of. */
function formatOf(formats: readonly DataFormat[], name: string): DataFormat | undefined {
  return formats.find(({ key }) => key === name) ?? (formats.length === 1 ? formats[0] : undefined);
}

const refusal = (difference: string): EndpointError =>
  new EndpointError('unsupported_bundle', `configs/metadata.json ${difference}: one of them is wrong.`, {
    details: { file: 'configs/metadata.json' },
  });
