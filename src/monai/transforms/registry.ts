import { activationsd } from './activationsd.ts';
import { asDiscreted } from './as-discreted.ts';
import { ensureChannelFirstd } from './ensure-channel-firstd.ts';
import { ensureTyped } from './ensure-typed.ts';
import { invertd } from './invertd.ts';
import { loadImaged } from './load-imaged.ts';
import { orientationd } from './orientationd.ts';
import { saveImaged } from './save-imaged.ts';
import { scaleIntensityRangePercentilesd } from './scale-intensity-range-percentilesd.ts';
import { scaleIntensityRanged } from './scale-intensity-ranged.ts';
import { spacingd } from './spacingd.ts';
import type { TransformDefinition } from './transform.ts';

const definitions: readonly TransformDefinition[] = [
  activationsd,
  asDiscreted,
  ensureChannelFirstd,
  ensureTyped,
  invertd,
  loadImaged,
  orientationd,
  saveImaged,
  scaleIntensityRangePercentilesd,
  scaleIntensityRanged,
  spacingd,
];

const byTarget = new Map(definitions.map((definition) => [definition.target, definition]));

/** Names of all transforms that run, for messages and tables. */
export const supportedTransforms: readonly string[] = [...byTarget.keys()];

/** The definition of a `_target_`, by class name or full path (`monai.transforms.Spacingd`); MONAI's own only. */
export function findTransform(target: string): TransformDefinition | undefined {
  return byTarget.get(monaiClassName(target));
}

/** Class name of a target: the last part of a path inside `monai`, any other name as it stands. */
export const monaiClassName = (target: string): string => target.replace(/^monai\.(?:[\w]+\.)*/, '');
