import type { Network } from '../../imaging/network.ts';
import type { NetworkSignature, TensorInfo } from '../../imaging/tensor.ts';
import type { Arguments } from '../arguments.ts';
import type { ConfigValue } from '../bundle/config-value.ts';
import type { DetectionKeys, Detections } from '../detection/detections.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import type { LabelPlan } from './label-plan.ts';

/** A network with the input and output that the bundle uses, as the ONNX file declares them. */
export interface BoundNetwork {
  readonly network: Network;
  readonly input: TensorInfo;
  readonly output: TensorInfo;
}

export interface InferenceContext extends RunContext {
  /** Fraction of the windows that are done. */
  progress(fraction: number): void;
  /** What becomes of the answer: an inferer may give the label map in its place. */
  readonly labels?: LabelPlan | undefined;
  /** Most bytes of an image of all channels; beyond it, the label map is made piece by piece where that can be done. */
  readonly denseBytes?: number | undefined;
}

/** What is known of an inferer's networks before one is there. */
export interface NetworkTraits {
  /** Spatial axes of what the network is given, where they are the same for every image. */
  readonly windowShape?: readonly number[] | undefined;
  /** Spatial axes of the networks that it runs, where it can run those of one number only. */
  readonly networkAxes?: 2 | 3 | undefined;
  /** True when the images are volumes although the network's may not be. */
  readonly takesVolumes?: boolean | undefined;
}

/** A configured inferer, its arguments checked. */
export interface ImageInferer extends NetworkTraits {
  readonly kind?: undefined;
  /** Runs the network over an image; the answer lies on the same grid, or is one for the whole image. */
  run(image: MetaImage, network: BoundNetwork, context: InferenceContext): Promise<MetaImage>;
}

/** A configured inferer whose network has several outputs, of which boxes are made. */
export interface Detector extends NetworkTraits {
  readonly kind: 'detector';
  readonly keys: DetectionKeys;
  /**
   * The network's outputs that it uses.
   *
   * @throws EndpointError `unsupported_bundle`: the network has not the outputs or sizes that the bundle needs
   */
  headsOf(signature: NetworkSignature): readonly TensorInfo[];
  /** Finds boxes in voxels of the image. */
  detect(image: MetaImage, network: Network, input: TensorInfo, context: InferenceContext): Promise<Detections>;
}

export type Inferer = ImageInferer | Detector;

/** What the other parts of the bundle tell an inferer while it is compiled. */
export interface InfererScope {
  /** What the bundle's evaluator requires to be done first: calls that set components up. Evaluated when it is asked for. */
  requirements(): ConfigValue;
}

export interface InfererDefinition {
  /** By MONAI's class name, or the whole path of one that a bundle brings. */
  readonly target: string;
  compile(args: Arguments, scope: InfererScope): Inferer;
}
