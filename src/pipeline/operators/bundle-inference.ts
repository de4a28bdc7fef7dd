import type { Prompts } from '../../api/prompts.ts';
import { asEndpointError, type ErrorCode } from '../../errors.ts';
import type { Network } from '../../imaging/network.ts';
import { noSpan } from '../../tracing/span.ts';
import type { BundleResult, ImagingBundle } from '../imaging-bundle.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import { clicksOf } from './prompt-clicks.ts';
import type { SourceImage } from './series-to-volume.ts';

export interface BundleInferenceOptions {
  readonly bundle: ImagingBundle;
  readonly network: Network;
  readonly prompts?: Prompts | undefined;
  /** Told how far the whole job is, 0 to 1. */
  progress?: ((fraction: number, phase: string) => void) | undefined;
}

/** Part of a job that each phase is taken for, and where it begins: the network has nearly all of it. */
const shares = { preprocess: [0.1, 0.05], inference: [0.15, 0.75], postprocess: [0.9, 0.05] } as const;

/** Runs the bundle's transforms, inferer and post-processing on the image (`MonaiBundleInferenceOperator`). */
export class BundleInference implements Operator<{ image: SourceImage }, { result: BundleResult }> {
  readonly name = 'bundle_inference';
  readonly #options: BundleInferenceOptions;

  constructor(options: BundleInferenceOptions) {
    this.#options = options;
  }

  async compute({ image }: { image: SourceImage }, context: ExecutionContext): Promise<{ result: BundleResult }> {
    const { bundle, network, prompts, progress } = this.#options;
    const { pool, signal, clock } = context;
    let phase: keyof typeof shares = 'preprocess';
    let since = performance.now();
    const span = context.span ?? noSpan;
    let phaseSpan = span.child(phase);
    const leave = (failure?: ErrorCode) => {
      const now = performance.now();
      clock.add(phase, now - since);
      phaseSpan.end(failure);
      since = now;
    };
    try {
      const result = await bundle.infer(image.volume, {
        network,
        pool,
        signal,
        images: image.images,
        clicks: clicksOf(prompts, image.volume),
        warn: (message) => context.warn(message),
        progress(next, fraction) {
          if (next !== phase) {
            leave();
            phase = next;
            phaseSpan = span.child(next);
          }
          const [from, share] = shares[next];
          progress?.(from + share * fraction, next);
        },
      });
      leave();
      return { result };
    } catch (thrown) {
      leave(asEndpointError(thrown).code);
      throw thrown;
    }
  }
}
