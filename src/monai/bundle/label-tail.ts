import type { LabelPlan } from '../inferers/label-plan.ts';
import type { ImageData } from '../meta-image.ts';
import { labelStepOf } from '../transforms/label-steps.ts';
import type { Transform } from '../transforms/transform.ts';

/** The first steps of a postprocessing where they make a label map of the prediction: [softmax] [inverse] argmax. */
export interface LabelTail {
  /** How many steps these are. */
  readonly steps: number;
  planFor(data: ImageData, networkInput: string): LabelPlan | undefined;
}

/** @param key - of the prediction */
export function labelTailOf(postprocessing: readonly Transform[], key: string): LabelTail | undefined {
  const steps = postprocessing.slice(0, 3).map((transform) => {
    const step = labelStepOf(transform);
    return step?.key === key ? step : undefined;
  });
  const end = steps.findIndex((step) => step?.kind === 'argmax');
  const softmax = steps[0]?.kind === 'softmax';
  const inverse = steps.slice(0, end).find((step) => step?.kind === 'inverse');
  if (end < 0 || end !== (softmax ? 1 : 0) + (inverse ? 1 : 0)) return undefined;
  return {
    steps: end + 1,
    planFor(data, networkInput) {
      const original = data.get(networkInput);
      if (!original || (inverse && inverse.original !== networkInput)) return undefined;
      return { softmax, original, inverse: inverse?.operations(original) ?? [] };
    },
  };
}
