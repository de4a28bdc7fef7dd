import type { AppliedOperation, MetaImage } from '../meta-image.ts';
import type { Transform } from './transform.ts';

/** A transform that does this to one image and nothing else, so that it may be done together with its neighbours. */
export type LabelStep =
  | { readonly kind: 'softmax' | 'argmax'; readonly key: string }
  | {
      readonly kind: 'inverse';
      readonly key: string;
      /** The image whose operations are undone. */
      readonly original: string;
      /** What is undone, last first, interpolating as the operations themselves did. */
      operations(original: MetaImage): readonly AppliedOperation[];
    };

const steps = new WeakMap<Transform, LabelStep>();

export function markLabelStep(transform: Transform, step: LabelStep): Transform {
  steps.set(transform, step);
  return transform;
}

export const labelStepOf = (transform: Transform): LabelStep | undefined => steps.get(transform);
