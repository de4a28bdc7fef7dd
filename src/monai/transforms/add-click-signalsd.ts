import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { memoryOrderOf } from '../../imaging/strided-image.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage } from '../meta-image.ts';
import { clicksName, noLabel, type Point, type PointSet } from '../points.ts';
import { gaussianKernel } from './gaussian-kernel.ts';
import { concatenated } from './items.ts';
import { zeroFill } from './padding.ts';
import { spatialDimsOf } from './per-axis.ts';
import { drawPoints, noWeights } from './point-signals.ts';
import { regridded } from './regrid.ts';
import { isSameGrid } from './spatial-resample.ts';
import type { TransformDefinition } from './transform.ts';

/**
 * MONAI `AddClickSignalsd` (NuClick): the square of a plane around the click, and the click as one more channel, that of
 * the other clicks as another. MONAI makes a patch of each click, and can only take one of them on to the network
 * (`SqueezeDimd`): so one click is what a run takes, and the channel of the others is empty.
 */
export const addClickSignalsd: TransformDefinition = {
  target: 'AddClickSignalsd',
  needsKeys: true,
  compile(args) {
    const key = args.text('image', 'image');
    // Clicks come with the request, whatever the bundle calls them.
    args.text('foreground', 'foreground');
    const size = args.number('bb_size', 128);
    if (!Number.isInteger(size) || size < 1 || size > 4096) throw args.refuse("'bb_size' must be 1 to 4096");
    const gaussian = args.boolean('gaussian', false);
    const sigma = args.number('sigma', 1);
    const truncated = args.number('truncated', 2);
    if (sigma <= 0 || truncated <= 0 || sigma * truncated > 100)
      throw args.refuse("'sigma' and 'truncated' must be above 0, their product at most 100");
    const channels = args.boolean('add_exclusion_map', true) ? 2 : 1;
    args.finish();
    const weights = gaussian ? gaussianKernel(sigma, truncated) : noWeights;
    return {
      component: args.component,
      keys: [key],
      adds: { key, channels },
      makesPatches: [key],
      clicks: { least: 1, most: 1 },
      async apply(data, context) {
        const image = imageOf(data, key);
        const click = onlyClick(context.points?.get(clicksName), image);
        const box = { start: startOf(click, size, image.voxels.shape), shape: [size, size, 1] as const };
        // MONAI does not trace the patch, so that `Invertd` leaves it as it is.
        const patch = { ...(await regridded(image, box, zeroFill, args.component, context)), applied: image.applied };
        const signal = sharedImage('float32', channels, box.shape, memoryOrderOf(patch.voxels));
        drawPoints(signal, 0, [[click[0] - box.start[0], click[1] - box.start[1], 0]], [weights, weights, noWeights]);
        data.set(key, await concatenated([patch, { ...patch, voxels: signal }], context));
      },
    };
  },
};

/** @throws EndpointError `unsupported_bundle`: the image is no longer the one that was clicked in */
function onlyClick(points: PointSet | undefined, image: MetaImage): Point {
  const [click] = points?.byLabel.get(noLabel) ?? [];
  if (!points || !click) throw new EndpointError('invalid_request', 'This model takes 1 point in "prompts".');
  if (spatialDimsOf(image) !== 2)
    throw new EndpointError('unprocessable_image', 'The model takes clicks in planes; the input is a volume.');
  if (!isSameGrid(image, points))
    throw new EndpointError('unsupported_bundle', 'The bundle moves the image before it looks at the clicks.');
  return click;
}

/** Around the click, but inside the image. */
function startOf(click: Point, size: number, shape: Shape3): Point {
  if (shape[0] < size || shape[1] < size)
    throw new EndpointError(
      'unprocessable_image',
      `The image has ${shape[0]} × ${shape[1]} pixels; the model needs ${size} × ${size} around the click.`,
    );
  const along = (axis: 0 | 1): number => Math.min(Math.max(0, click[axis] - Math.floor(size / 2)), shape[axis] - size);
  return [along(0), along(1), 0];
}
