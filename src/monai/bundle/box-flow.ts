import type { BoxMode, BoxSpace, DetectionKeys } from '../detection/detections.ts';
import type { Transform } from '../transforms/transform.ts';
import { unsupported } from './unsupported.ts';

/**
 * Follows a detector's boxes through the postprocessing: which keys they have, how their numbers are meant, and that
 * they end in the patient's space, since voxels of a preprocessed image say nothing to anybody else.
 *
 * @param keys - of the detector; undefined where the bundle has none
 * @throws EndpointError `unsupported_bundle`
 */
export function followBoxes(post: readonly Transform[], keys: DetectionKeys | undefined, file: string): void {
  let [mode, space]: [BoxMode, BoxSpace] = ['xyzxyz', 'voxels'];
  for (const { boxes, component, leaves } of post) {
    const refuse = (what: string) =>
      unsupported(`${component.target}: ${what}.`, { file, place: component.place }, component.target);
    if (keys && leaves && [keys.box, keys.label, keys.score].some((key) => !leaves(key)))
      throw refuse('the boxes, their labels and their scores are the result and must stay');
    if (!boxes) continue;
    if (boxes.key !== keys?.box) throw refuse(`there are no boxes '${boxes.key.slice(0, 60)}' here`);
    const stranger = boxes.labels.find((label) => label !== keys.label && label !== keys.score);
    if (stranger !== undefined) throw refuse(`there are no labels '${stranger.slice(0, 60)}' here`);
    if (boxes.takes.mode !== undefined && boxes.takes.mode !== mode)
      throw refuse(`it takes boxes as ${boxes.takes.mode}; they are ${mode} here`);
    if (boxes.takes.space !== undefined && boxes.takes.space !== space)
      throw refuse('it takes boxes in voxels; they are in millimetres here');
    mode = boxes.gives.mode ?? mode;
    space = boxes.gives.space ?? space;
  }
  if (keys && space === 'voxels') {
    throw unsupported(
      'The boxes stay in voxels of the preprocessed image: the postprocessing needs AffineBoxToWorldCoordinated.',
      { file, place: 'postprocessing' },
    );
  }
}
