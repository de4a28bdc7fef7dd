import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { channelStart, memoryOrderOf, type StridedImage } from '../../imaging/strided-image.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import { imageOf } from '../image-data.ts';
import type { Point } from '../points.ts';
import { pointsNamed } from './deepedit-points.ts';
import { gaussianKernel } from './gaussian-kernel.ts';
import { concatenated } from './items.ts';
import { spatialDimsOf } from './per-axis.ts';
import { drawPoints } from './point-signals.ts';
import type { TransformDefinition } from './transform.ts';

/** Of MONAI's `GaussianFilter`. */
const truncated = 4;

/** MONAI `AddGuidanceSignalDeepEditd`: for each label a channel with a bell around each of its points, 0 to 1. */
export const addGuidanceSignal: TransformDefinition = {
  target: 'AddGuidanceSignalDeepEditd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    // MONAI does nothing to other keys.
    if (keys.length !== 1 || keys[0] !== 'image') throw args.refuse("'keys' must be 'image'");
    const guidance = args.text('guidance', 'guidance');
    const sigma = args.number('sigma', 3);
    if (sigma <= 0 || sigma > 10) throw args.refuse("'sigma' must be above 0, at most 10");
    const intensities = args.number('number_intensity_ch', 1);
    if (!Number.isInteger(intensities) || intensities < 1)
      throw args.refuse("'number_intensity_ch' must be at least 1");
    args.accept('allow_missing_keys');
    args.finish();
    const weights = gaussianKernel(sigma, truncated);
    return {
      component: args.component,
      keys,
      async apply(data, context) {
        const image = imageOf(data, 'image');
        if (spatialDimsOf(image) !== 3) throw new EndpointError('unprocessable_image', 'The model takes volumes.');
        const { voxels } = image;
        if (voxels.channels < intensities)
          throw new EndpointError('unprocessable_image', `The bundle wants an image of ${intensities} channels.`);
        const lists = [...pointsNamed(guidance, context).byLabel.values()];
        const signal = sharedImage('float32', lists.length, voxels.shape, memoryOrderOf(voxels));
        for (const [channel, points] of lists.entries()) {
          drawPoints(
            signal,
            channel,
            points.filter(isCounted).map((point) => inside(point, voxels.shape)),
            [weights, weights, weights],
          );
          stretch(signal, channel);
        }
        const intensity = { ...image, voxels: { ...voxels, channels: intensities } };
        data.set('image', await concatenated([intensity, { ...image, voxels: signal }], context));
      },
    };
  },
};

const isCounted = (point: Point): boolean => point.every((at) => at >= 0);
const inside = (point: Point, shape: Shape3): Point =>
  point.map((at, axis) => Math.min(at, (shape[axis] as number) - 1)) as unknown as Point;

/** The channel's range to 0…1; one without points stays zero. */
function stretch(image: StridedImage<Float32Array>, channel: number): void {
  const start = channelStart(image, channel);
  const values = image.data.subarray(start, start + image.channelStride);
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (most <= 0) return;
  for (let at = 0; at < values.length; at++) values[at] = ((values[at] as number) - least) / (most - least);
}
