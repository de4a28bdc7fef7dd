import type { MapOutput } from '../../api/map-json.ts';
import { EndpointError } from '../../errors.ts';
import { type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import type { BundleMetadata, ImageResult } from '../imaging-bundle.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segment, Segmentation } from '../segmentation.ts';
import { isSameGrid, resampleNearest } from './nearest-resample.ts';
import { segmentsOf } from './segment-names.ts';
import type { SourceImage } from './series-to-volume.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly result: ImageResult;
}

/**
 * Turns what the bundle gave into named segments on the grid of the source image.
 *
 * A result on another grid (a bundle without `Invertd`) is brought back by nearest neighbours, and the answer's warnings
 * say so: it is never written as if it lay on the source grid.
 *
 * @throws EndpointError `model_failed` for values that are no labels, `unsupported_bundle` when nothing names them
 */
export class ResultToSegmentation implements Operator<Inputs, { segmentation: Segmentation }> {
  readonly name = 'result_to_segmentation';
  readonly #outputs: readonly MapOutput[] | undefined;
  readonly #metadata: BundleMetadata;

  constructor(outputs: readonly MapOutput[] | undefined, metadata: BundleMetadata) {
    this.#outputs = outputs;
    this.#metadata = metadata;
  }

  compute({ image, result }: Inputs, context: ExecutionContext): Promise<{ segmentation: Segmentation }> {
    return context.clock.time('postprocess', () => ({ segmentation: this.#segment(image, result, context) }));
  }

  #segment(image: SourceImage, result: ImageResult, context: ExecutionContext): Segmentation {
    const { shape, affineRas } = image.volume;
    if (
      result.channels.length === 0 ||
      result.channels.some((channel) => channel.length !== voxelCount(result.shape))
    ) {
      throw new EndpointError('model_failed', 'The result of the bundle does not fill its own grid.');
    }
    const segments = segmentsOf(this.#outputs, this.#metadata, {
      channels: result.channels.length,
      fromArgmax: result.fromArgmax,
    });
    const channels = onGrid(image, result, context);
    if (channels.length === 1) {
      const labels = toLabels(channels[0] as VoxelArray, segments, context);
      return { kind: 'labelmap', shape, affineRas, segments, labels };
    }
    const masks = segments.map(({ value, label }) => {
      const channel = channels[value - 1];
      if (!channel)
        throw new EndpointError(
          'unsupported_bundle',
          `map.json names segment ${value} (${label}); the result has ${channels.length} channels.`,
        );
      return toMask(channel, label);
    });
    return { kind: 'masks', shape, affineRas, segments, masks };
  }
}

function onGrid({ volume }: SourceImage, result: ImageResult, context: ExecutionContext): readonly VoxelArray[] {
  if (isSameGrid(result, volume)) return result.channels;
  context.warn(
    `The bundle's result lies on another grid (${result.shape.join('×')}) than the image (${volume.shape.join('×')}); it was resampled to the image by nearest neighbours.`,
  );
  return result.channels.map((channel) =>
    resampleNearest<VoxelArray>(channel, result, volume, new Float32Array(voxelCount(volume.shape))),
  );
}

/** Whole numbers as labels; values that no segment names are left out, and the warnings say which. */
function toLabels(
  values: VoxelArray,
  segments: readonly Segment[],
  context: ExecutionContext,
): Uint8Array | Uint16Array {
  const named = new Uint8Array(65_536);
  for (const { value } of segments) named[value] = 1;
  const greatest = Math.max(...segments.map(({ value }) => value));
  const labels = greatest <= 255 ? new Uint8Array(values.length) : new Uint16Array(values.length);
  const unnamed = new Set<number>();
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (value === 0) continue;
    if (named[value] === 1) labels[at] = value;
    else if (Number.isInteger(value) && value > 0 && value <= 65_535) unnamed.add(value);
    else {
      throw new EndpointError(
        'model_failed',
        'The result of the bundle is no label map: it holds values that are no whole numbers from 0 to 65535. Let its postprocessing end with AsDiscreted.',
      );
    }
  }
  if (unnamed.size > 0) {
    const listed = [...unnamed]
      .sort((a, b) => a - b)
      .slice(0, 20)
      .join(', ');
    context.warn(`The result holds labels that no segment names; they were left out: ${listed}.`);
  }
  return labels;
}

function toMask(values: VoxelArray, label: string): Uint8Array {
  const mask = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (value === 1) mask[at] = 1;
    else if (value !== 0) {
      throw new EndpointError(
        'model_failed',
        `Channel ${label} of the result holds other values than 0 and 1. Let the postprocessing end with AsDiscreted.`,
      );
    }
  }
  return mask;
}
