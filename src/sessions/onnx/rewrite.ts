import { type OnnxBuilder, type OnnxConstants, type OnnxNode, replaceOnnxNodes } from './model.ts';
import { replacePRelu } from './prelu.ts';
import { replaceTransposedConvolution } from './transposed-convolution.ts';

/** First operator set with the forms that are written here. */
const minOpset = 13;

const replacements = [replaceTransposedConvolution, replacePRelu];

/**
 * Rewrites nodes of a float32 network as what onnxruntime computes faster on a CPU.
 *
 * @param bytes - an ONNX model
 * @returns the model rewritten; undefined where nothing is gained, or something is not as expected
 */
export function rewriteForCpu(bytes: Uint8Array): Uint8Array | undefined {
  const replace = (node: OnnxNode, constants: OnnxConstants, builder: OnnxBuilder): boolean =>
    replacements.some((one) => one(node, constants, builder));
  try {
    return replaceOnnxNodes(bytes, minOpset, replace);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // no model: onnxruntime will say so
    throw error;
  }
}
