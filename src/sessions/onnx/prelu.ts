import type { OnnxBuilder, OnnxConstants, OnnxNode } from './model.ts';

/**
 * Rewrites a `PRelu` whose slope is one constant as the `LeakyRelu` that it is: the same products, but onnxruntime's PRelu
 * broadcasts its slope value by value, and a LeakyRelu behind a convolution is computed with it (a tenth of MONAI's UNet).
 */
export function replacePRelu(
  { opType, domain, inputs, outputs }: OnnxNode,
  constants: OnnxConstants,
  builder: OnnxBuilder,
): boolean {
  if (opType !== 'PRelu' || domain !== '') return false;
  const [input, slopeName = ''] = inputs;
  const slope = constants.floats(slopeName)?.data;
  if (!input || slope?.length !== 1) return false;
  builder.node('LeakyRelu', [input], { alpha: { float: slope[0] as number } }, outputs[0]);
  return true;
}
