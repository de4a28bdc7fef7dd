import type { Network } from '../../imaging/network.ts';
import type { Arguments } from '../arguments.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';

/** A network with the names of the input and output that the bundle uses. */
export interface BoundNetwork {
  readonly network: Network;
  readonly input: string;
  readonly output: string;
}

export interface InferenceContext extends RunContext {
  /** Fraction of the windows that are done. */
  progress(fraction: number): void;
}

/** A configured inferer, its arguments checked. */
export interface Inferer {
  /** Spatial axes of what the network is given, where they are the same for every image. */
  readonly windowShape?: readonly number[];
  /** Runs the network over an image; the answer lies on the same grid. */
  run(image: MetaImage, network: BoundNetwork, context: InferenceContext): Promise<MetaImage>;
}

export interface InfererDefinition {
  readonly target: string;
  compile(args: Arguments): Inferer;
}
