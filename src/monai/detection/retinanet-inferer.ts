import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { cropped, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { TensorInfo } from '../../imaging/tensor.ts';
import { type Shape3, voxelCount } from '../../imaging/volume.ts';
import type { InferenceContext, InfererDefinition } from '../inferers/inferer.ts';
import { describeShape, fits, fixedShape } from '../inferers/network-form.ts';
import { inNetworkOrder } from '../inferers/network-tensor.ts';
import { onAxes, type SlidingWindowOptions } from '../inferers/sliding-window-options.ts';
import { planWindows } from '../inferers/window-plan.ts';
import { decodeBox, stridesOf } from './box-decoding.ts';
import { selectCandidates, suppressOverlapping, withinImage } from './box-selection.ts';
import { type Detections, pickDetections } from './detections.ts';
import { type DetectorOptions, readDetector } from './detector-options.ts';
import { type HeadNetwork, inferHeadWindows, inferWhole } from './head-inference.ts';
import type { HeadMap, HeadMaps } from './head-maps.ts';
import { detectorHeads } from './head-names.ts';

/** MONAI's `BoxCoder`: greatest exponent of a size. */
const sizeClip = Math.log(1000 / 16);

/** `RetinaNetInferer` of the bundle lung_nodule_ct_detection, over MONAI's `RetinaNetDetector`. */
export const retinaNetInferer: InfererDefinition = {
  target: 'scripts.detection_inferer.RetinaNetInferer',
  compile(args, scope) {
    const options = readDetector(args.nested('detector'), scope.requirements());
    const always = args.boolean('force_sliding_window', false);
    args.finish();
    if (always && !options.windows) throw args.refuse("'force_sliding_window' needs set_sliding_window_inferer");
    return {
      kind: 'detector',
      keys: options.keys,
      networkAxes: 3,
      headsOf: (signature) => {
        const heads = detectorHeads(signature, options);
        checkWindows(signature.inputs[0] as TensorInfo, options.windows);
        return heads;
      },
      async detect(image, network, input, context) {
        const heads = { network, input, heads: detectorHeads(network, options) };
        const { shape } = image.voxels;
        const filled = await filledUp(await inNetworkOrder(image, context), options.sizeDivisible, context);
        const windows = options.windows && (always || isLarge(shape, options.windows)) ? options.windows : undefined;
        const maps = windows
          ? await inferByWindows(filled, windows, heads, context)
          : await inferWhole(filled, heads, context);
        const levels = options.anchors.levels.length;
        return detectionsOf(
          { classification: maps.slice(0, levels), boxRegression: maps.slice(levels) },
          filled.shape,
          shape,
          options,
        );
      },
    };
  },
};

/** The bundle's own rule: only an image of fewer voxels than a window is run whole. */
function isLarge(shape: Shape3, { roiSize }: SlidingWindowOptions): boolean {
  const size = typeof roiSize === 'number' ? roiSize : roiSize.reduce((product, side) => product * side, 1);
  return voxelCount(shape) >= size;
}

function inferByWindows(
  image: StridedImage<Float32Array>,
  { roiSize, overlap, sigmaScale, paddingMode, fill, windowBatch }: SlidingWindowOptions,
  network: HeadNetwork,
  context: InferenceContext,
): Promise<HeadMap[]> {
  const axes = [0, 1, 2] as const;
  const plan = planWindows(image.shape, onAxes(roiSize, axes, 1), onAxes(overlap, axes, 0));
  const sigma = sigmaScale === undefined ? undefined : onAxes(sigmaScale, axes, 1);
  return inferHeadWindows(image, plan, { sigmaScale: sigma, paddingMode, fill, windowBatch }, network, context);
}

/** The image with zeros behind its end, up to sizes that the network divides. */
async function filledUp(
  image: StridedImage<Float32Array>,
  divisible: readonly number[],
  { pool, signal }: InferenceContext,
): Promise<StridedImage<Float32Array>> {
  const shape = image.shape.map((size, axis) => {
    const step = divisible[axis] as number;
    return Math.ceil(size / step) * step;
  }) as unknown as Shape3;
  if (shape.every((size, axis) => size === image.shape[axis])) return image;
  const target = sharedImage('float32', image.channels, shape, zFastest);
  await rearrange(image, cropped(target, [0, 0, 0], image.shape), pool, signal);
  return target;
}

/** MONAI's `postprocess_detections`, in voxels of the image. */
export function detectionsOf(
  maps: HeadMaps,
  filledShape: readonly number[],
  imageShape: readonly number[],
  options: DetectorOptions,
): Detections {
  const boxes: number[] = [];
  const scores: number[] = [];
  const labels: number[] = [];
  let places = Number.POSITIVE_INFINITY;
  for (const [level, anchors] of options.anchors.levels.entries()) {
    const [logits, regression] = [maps.classification[level] as HeadMap, maps.boxRegression[level] as HeadMap];
    checkLevel(level, logits, regression, anchors.length, options.classes);
    // Outputs in another order would get the anchors of another level.
    if (voxelCount(logits.shape) > places)
      throw new EndpointError(
        'model_failed',
        `Level ${level} of the network is finer than the one before: its outputs must go from the finest to the coarsest.`,
      );
    places = voxelCount(logits.shape);
    const candidates = selectCandidates(logits.data, anchors.length, options.classes, options.selection);
    const strides = stridesOf(filledShape, logits.shape);
    const geometry = { shape: logits.shape, anchors, strides, shiftedBy: options.anchors.shiftedBy };
    const decoded = new Float32Array(candidates.anchors.length * 6);
    for (const [n, anchor] of candidates.anchors.entries())
      decodeBox(geometry, regression, anchor, options.weights, sizeClip, decoded.subarray(n * 6, n * 6 + 6));
    const inside = withinImage(decoded, candidates, imageShape);
    for (const value of inside.boxes) boxes.push(value);
    scores.push(...inside.scores);
    labels.push(...inside.labels);
  }
  const all: Detections = {
    kind: 'detections',
    boxes: Float32Array.from(boxes),
    mode: 'xyzxyz',
    space: 'voxels',
    scores: Float32Array.from(scores),
    labels: Int32Array.from(labels),
  };
  return pickDetections(all, suppressOverlapping(all.boxes, all.scores, all.labels, options.selection));
}

function checkLevel(level: number, logits: HeadMap, regression: HeadMap, perPlace: number, classes: number): void {
  if (logits.channels !== perPlace * classes || regression.channels !== perPlace * 6) {
    throw new EndpointError(
      'model_failed',
      `Level ${level} of the network answers ${logits.channels} and ${regression.channels} channels; ${perPlace * classes} and ${perPlace * 6} were expected.`,
    );
  }
  if (logits.shape.some((size, axis) => size !== regression.shape[axis]))
    throw new EndpointError('model_failed', `The outputs of level ${level} of the network differ in size.`);
}

/** @throws EndpointError `unsupported_bundle`: a window is not what the ONNX file fixes */
function checkWindows(input: TensorInfo, windows: SlidingWindowOptions | undefined): void {
  const fixed = fixedShape(input);
  const size = windows && onAxes(windows.roiSize, [0, 1, 2], 1);
  if (!size?.every((side) => side > 0) || fits(fixed, size)) return;
  throw new EndpointError(
    'unsupported_bundle',
    `The network takes ${describeShape(fixed)} voxels and nothing else, the bundle's detector cuts windows of ${size.join(' × ')}. Export the network with open axes.`,
    { details: { file: 'models/model.onnx' } },
  );
}
