import type { Axis } from '../../imaging/strided-image.ts';
import type { InfererDefinition, NetworkTraits } from './inferer.ts';
import { axesFor } from './network-form.ts';
import { onAxes, readSlidingWindowOptions, type SlidingWindowOptions } from './sliding-window-options.ts';
import { inferWindows } from './window-inference.ts';
import { planWindows } from './window-plan.ts';

/** MONAI `SlidingWindowInferer`: overlapping windows, their answers averaged by importance. */
export const slidingWindowInferer: InfererDefinition = {
  target: 'SlidingWindowInferer',
  compile(args) {
    const options = readSlidingWindowOptions(args);
    const { roiSize, overlap, sigmaScale } = options;
    for (const [name, values] of Object.entries({ overlap, sigma_scale: sigmaScale })) {
      if (typeof values === 'object' && typeof roiSize === 'object' && values.length !== roiSize.length)
        throw args.refuse(`'${name}' must be a number or ${roiSize.length} numbers, as 'roi_size'`);
    }
    args.finish();
    return {
      ...windowShapeOf(roiSize),
      run: (image, network, context) => {
        const { shape } = image.voxels;
        const axes = axesFor(network.input, shape);
        const plan = planWindows(shape, onAxes(roiSize, axes, 1), onAxes(overlap, axes, 0));
        return inferWindows(image, { ...plan, axes }, windowing(options, axes), network, context);
      },
    };
  },
};

/** MONAI `SlidingWindowInfererAdapt`: the same, since the sums lie in the host's memory from the start. */
export const slidingWindowInfererAdapt: InfererDefinition = {
  target: 'SlidingWindowInfererAdapt',
  compile: (args, scope) => slidingWindowInferer.compile(args, scope),
};

/** MONAI `SliceInferer`: a network for flat images over all slices of a volume along one axis. */
export const sliceInferer: InfererDefinition = {
  target: 'SliceInferer',
  compile(args) {
    const along = args.number('spatial_dim', 0);
    if (along !== 0 && along !== 1 && along !== 2) throw args.refuse("'spatial_dim' must be 0, 1 or 2");
    const options = readSlidingWindowOptions(args);
    args.finish();
    const { roiSize, overlap } = options;
    if (typeof roiSize === 'number' || roiSize.length !== 2) throw args.refuse("'roi_size' must be two whole numbers");
    for (const values of [overlap, options.sigmaScale]) {
      if (typeof values === 'object' && values.length !== 3)
        throw args.refuse("'overlap' and 'sigma_scale' must be a number or three of them");
    }
    const axes = ([0, 1, 2] as const).filter((axis) => axis !== along);
    return {
      takesVolumes: true,
      ...windowShapeOf(roiSize),
      run: (image, network, context) => {
        const plan = planWindows(image.voxels.shape, onAxes(roiSize, axes, 1), onAxes(overlap, [0, 1, 2], 0));
        return inferWindows(image, { ...plan, axes }, windowing(options, [0, 1, 2]), network, context);
      },
    };
  },
};

const windowing = (options: SlidingWindowOptions, sigmaAxes: readonly Axis[]) => ({
  ...options,
  sigmaScale: options.sigmaScale === undefined ? undefined : onAxes(options.sigmaScale, sigmaAxes, 1),
});

function windowShapeOf(roiSize: SlidingWindowOptions['roiSize']): Pick<NetworkTraits, 'windowShape' | 'networkAxes'> {
  if (typeof roiSize === 'number') return roiSize > 0 ? { windowShape: [roiSize, roiSize, roiSize] } : {};
  const networkAxes = roiSize.length === 2 ? 2 : 3;
  return roiSize.every((size) => size > 0) ? { windowShape: roiSize, networkAxes } : { networkAxes };
}
