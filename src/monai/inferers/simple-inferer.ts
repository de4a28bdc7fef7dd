import { onlyNumbers } from '../../compute/kernels/voxelwise.ts';
import { EndpointError } from '../../errors.ts';
import { stridedOver, zFastest } from '../../imaging/strided-image.ts';
import type { InfererDefinition } from './inferer.ts';
import { inNetworkOrder, runNetwork, toShared } from './network-tensor.ts';

/** MONAI `SimpleInferer`: the whole image in one run. */
export const simpleInferer: InfererDefinition = {
  target: 'SimpleInferer',
  compile(args) {
    args.finish();
    return {
      async run(image, network, context) {
        const { channels, shape } = image.voxels;
        const input = await inNetworkOrder(image, context);
        context.progress(0);
        const answer = await runNetwork(network, input.data, channels, shape, context.signal);
        const voxels = stridedOver(await toShared(answer.values), answer.channels, shape, zFastest);
        if (!(await onlyNumbers(voxels, context.pool, context.signal)))
          throw new EndpointError('model_failed', 'The network gave values that are not numbers (NaN).');
        context.progress(1);
        return { voxels, affineRas: image.affineRas, applied: [], owned: true, fromArgmax: false };
      },
    };
  },
};
