import { retinaNetInferer } from '../detection/retinanet-inferer.ts';
import { monaiClassName } from '../transforms/registry.ts';
import type { InfererDefinition } from './inferer.ts';
import { simpleInferer } from './simple-inferer.ts';
import { sliceInferer, slidingWindowInferer, slidingWindowInfererAdapt } from './sliding-window-inferer.ts';

const definitions: readonly InfererDefinition[] = [
  retinaNetInferer,
  simpleInferer,
  sliceInferer,
  slidingWindowInferer,
  slidingWindowInfererAdapt,
];
const byTarget = new Map(definitions.map((definition) => [definition.target, definition]));

/** Names of all inferers that run. */
export const supportedInferers: readonly string[] = [...byTarget.keys()];

/** The definition of a `_target_`, by class name or full path inside `monai`. */
export const findInferer = (target: string): InfererDefinition | undefined => byTarget.get(monaiClassName(target));
