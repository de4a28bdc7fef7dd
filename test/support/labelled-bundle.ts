import { writeNifti } from '../../src/formats/nifti/writer.ts';
import { field, integer, onnxModel } from './onnx-bytes.ts';

const size = 4;

/** A network that adds a number to each voxel. */
function addingNetwork(value: number): Buffer {
  const raw = Buffer.alloc(4);
  raw.writeFloatLE(value);
  const weight = Buffer.concat([integer(2, 1), field(8, 'w'), field(9, raw)]);
  const dims = [1, 1, size, size, size];
  return onnxModel({ operator: 'Add', inputs: ['x', 'w'], graph: field(5, weight), dims });
}

/**
 * The files of a real bundle whose answer only it gives: on {@link zeroVolume} its network makes every voxel the label
 * `value` (1 to 65,535), which its `map.json` calls `label-<value>`.
 */
export function labelledBundle(value: number): Record<string, Buffer> {
  const image = { type: 'image', format: 'magnitude', num_channels: 1, spatial_shape: [size, size, size] };
  const metadata = {
    version: `${value}.0.0`,
    network_data_format: { inputs: { image }, outputs: { pred: { ...image, format: 'segmentation' } } },
  };
  const keys = { keys: 'image' };
  const inference = {
    preprocessing: {
      _target_: 'Compose',
      transforms: [
        { _target_: 'LoadImaged', ...keys },
        { _target_: 'EnsureChannelFirstd', ...keys },
      ],
    },
    inferer: { _target_: 'SimpleInferer' },
    postprocessing: { _target_: 'Compose', transforms: [{ _target_: 'EnsureTyped', keys: 'pred' }] },
  };
  const map = { outputs: [{ type: 'json', segments: [{ value, label: `label-${value}` }] }] };
  const json = (content: unknown): Buffer => Buffer.from(JSON.stringify(content));
  return {
    'configs/inference.json': json(inference),
    'configs/metadata.json': json(metadata),
    'map.json': json(map),
    'models/model.onnx': addingNetwork(value),
  };
}

/** The image that a {@link labelledBundle} takes, as `.nii.gz`. */
export async function zeroVolume(): Promise<Uint8Array> {
  const affineRas = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;
  return await writeNifti({ data: new Float32Array(size ** 3), shape: [size, size, size], affineRas });
}

/** What a {@link labelledBundle} measures on {@link zeroVolume}, in part. */
export const labelledMeasurement = (value: number) => ({ segment: `label-${value}`, value, voxels: size ** 3 });
