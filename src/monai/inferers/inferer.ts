import type { Network } from '../../imaging/network.ts';
import type { TensorInfo } from '../../imaging/tensor.ts';
import type { Arguments } from '../arguments.ts';
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

/** A configured inferer, its arguments checked. */
export interface Inferer {
  /** Spatial axes of what the network is given, where they are the same for every image. */
  readonly windowShape?: readonly number[] | undefined;
  /** Spatial axes of the networks that it runs, where it can run those of one number only. */
  readonly networkAxes?: 2 | 3 | undefined;
  /** True when the images are volumes although the network's may not be. */
  readonly takesVolumes?: boolean | undefined;
  /** Runs the network over an image; the answer lies on the same grid, or is one for the whole image. */
  run(image: MetaImage, network: BoundNetwork, context: InferenceContext): Promise<MetaImage>;
}

export interface InfererDefinition {
  readonly target: string;
  compile(args: Arguments): Inferer;
}
