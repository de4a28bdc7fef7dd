import { activationsd } from './activationsd.ts';
import { addClickSignalsd } from './add-click-signalsd.ts';
import { addGuidanceSignal } from './add-guidance-signal.ts';
import { addLabelAsGuidanced } from './add-label-as-guidanced.ts';
import { asDiscreted } from './as-discreted.ts';
import { affineBoxToWorldCoordinated, clipBoxToImaged, convertBoxModed } from './box-transforms.ts';
import { castToTyped } from './cast-to-typed.ts';
import { fillHolesd, keepLargestConnectedComponentd, removeSmallObjectsd } from './component-transforms.ts';
import { containerTransforms } from './containers.ts';
import { cropForegroundd } from './crop-foregroundd.ts';
import { centerScaleCropd, centerSpatialCropd, resizeWithPadOrCropd, spatialCropd } from './cropd.ts';
import { addGuidanceFromPoints, orientationGuidance, resizeGuidance } from './deepedit-points.ts';
import { ensureChannelFirstd } from './ensure-channel-firstd.ts';
import { ensureTyped } from './ensure-typed.ts';
import { invertd } from './invertd.ts';
import { concatItemsd, copyItemsd, deleteItemsd, repeatChanneld, selectItemsd, splitDimd } from './items.ts';
import { lambdad } from './lambdad.ts';
import { loadImaged } from './load-imaged.ts';
import { normalizeIntensityd } from './normalize-intensityd.ts';
import { orientationd } from './orientationd.ts';
import { borderPadd, divisiblePadd, spatialPadd } from './padd.ts';
import { concatImages, mergeClassesd } from './renal-structures.ts';
import { resized } from './resized.ts';
import { saveClassificationd, saveImaged } from './save-imaged.ts';
import { scaleIntensityRangePercentilesd } from './scale-intensity-range-percentilesd.ts';
import { scaleIntensityRanged } from './scale-intensity-ranged.ts';
import { scaleIntensityd } from './scale-intensityd.ts';
import { spacingd } from './spacingd.ts';
import { squeezeDimd } from './squeeze-dimd.ts';
import type { TransformDefinition } from './transform.ts';

const definitions: readonly TransformDefinition[] = [
  activationsd,
  addClickSignalsd,
  addGuidanceFromPoints,
  addGuidanceSignal,
  addLabelAsGuidanced,
  asDiscreted,
  borderPadd,
  castToTyped,
  centerScaleCropd,
  centerSpatialCropd,
  cropForegroundd,
  divisiblePadd,
  ensureChannelFirstd,
  ensureTyped,
  fillHolesd,
  invertd,
  keepLargestConnectedComponentd,
  lambdad,
  loadImaged,
  mergeClassesd,
  normalizeIntensityd,
  orientationd,
  orientationGuidance,
  removeSmallObjectsd,
  resized,
  resizeGuidance,
  resizeWithPadOrCropd,
  saveClassificationd,
  saveImaged,
  scaleIntensityRangePercentilesd,
  scaleIntensityRanged,
  scaleIntensityd,
  spacingd,
  spatialCropd,
  spatialPadd,
  squeezeDimd,
  concatImages,
  concatItemsd,
  copyItemsd,
  deleteItemsd,
  repeatChanneld,
  selectItemsd,
  splitDimd,
  affineBoxToWorldCoordinated,
  clipBoxToImaged,
  convertBoxModed,
  ...containerTransforms,
];

const byTarget = new Map(definitions.map((definition) => [definition.target, definition]));

/** Names of all transforms that run, for messages and tables; each also without its `d`, unless it is about keys. */
export const supportedTransforms: readonly string[] = [...byTarget.keys()];

/** A definition, and whether it was asked for without keys: as its twin for a bare image. */
export interface FoundTransform {
  readonly definition: TransformDefinition;
  readonly isBare: boolean;
}

/**
 * The definition of a `_target_`, by class name or full path (`monai.transforms.Spacingd`); MONAI's own only. The names
 * `SpacingD` and `SpacingDict` are the same to MONAI; `Spacing` is the twin for a bare image.
 */
export function findTransform(target: string): FoundTransform | undefined {
  const name = monaiClassName(target);
  const keyed = byTarget.get(name) ?? byTarget.get(name.replace(/D(?:ict)?$/, 'd'));
  if (keyed) return { definition: keyed, isBare: false };
  const twin = byTarget.get(`${name}d`);
  return twin && twin.needsKeys !== true ? { definition: twin, isBare: true } : undefined;
}

/** Class name of a target: the last part of a path inside `monai`, any other name as it stands. */
export const monaiClassName = (target: string): string => target.replace(/^monai\.(?:[\w]+\.)*/, '');
