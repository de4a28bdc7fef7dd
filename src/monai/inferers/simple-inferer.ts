import { onlyNumbers } from '../../compute/kernels/voxelwise.ts';
import { EndpointError } from '../../errors.ts';
import { stridedOver, zFastest } from '../../imaging/strided-image.ts';
import type { InfererDefinition } from './inferer.ts';
import { axesFor, checkForm, fixedBatch } from './network-form.ts';
import { inNetworkOrder, runNetwork, toShared } from './network-tensor.ts';

/** MONAI `SimpleInferer`: the whole image in one run. */
export const simpleInferer: InfererDefinition = {
  target: 'SimpleInferer',
  compile(args) {
    args.finish();
    return {
      async run(image, network, context) {
        const { channels, shape } = image.voxels;
        const form = { channels, shape, axes: axesFor(network.input, shape) };
        checkForm(network.input, form);
        const ordered = await inNetworkOrder(image, context);
        // A fixed batch is filled up with zeros; the rows of a batch have nothing to do with each other.
        const rows = fixedBatch(network.input) ?? 1;
        const input = rows === 1 ? ordered.data : new Float32Array(rows * ordered.data.length);
        if (input !== ordered.data) input.set(ordered.data);
        context.progress(0);
        const answer = await runNetwork(network, input, rows, form, context.signal);
        const values = answer.values.subarray(0, answer.values.length / rows);
        const voxels = stridedOver(await toShared(values), answer.channels, answer.shape, zFastest);
        if (!(await onlyNumbers(voxels, context.pool, context.signal)))
          throw new EndpointError('model_failed', 'The network gave values that are not numbers (NaN).');
        context.progress(1);
        const { affineRas, spatialDims } = image;
        return { voxels, affineRas, applied: [], owned: true, fromArgmax: false, spatialDims };
      },
    };
  },
};
