import { type Prompts, pointLabelsOf } from '../../api/prompts.ts';
import { EndpointError } from '../../errors.ts';
import { invertAffine, transformPoint } from '../../imaging/affine.ts';
import type { Volume } from '../../imaging/volume.ts';
import type { Click } from '../imaging-bundle.ts';

/**
 * The points of a request as voxels of the image: the nearest to each. Besides series-to-volume this is the only place
 * where LPS becomes RAS (docs/adr/0024-prompts.md).
 *
 * @throws EndpointError `invalid_request`: a point outside the image, or in millimetres of a picture that has no place
 */
export function clicksOf(prompts: Prompts | undefined, volume: Volume): Click[] {
  if (!prompts) return [];
  const labels = pointLabelsOf(prompts);
  return prompts.points.map((point, n) => {
    const voxel = voxelOf(prompts.coordinates, point, volume);
    if (!voxel.every((at, axis) => at >= 0 && at < (volume.shape[axis] as number)))
      throw refused(`Point ${n + 1} of "prompts" lies outside the image of ${volume.shape.join(' × ')} voxels`);
    return { voxel, ...labels[n] };
  });
}

function voxelOf(
  coordinates: Prompts['coordinates'],
  [x, y, z]: Prompts['points'][number],
  { affineRas, isPlane }: Volume,
): [number, number, number] {
  if (coordinates === 'index') {
    if (isPlane !== true && z === undefined)
      throw refused('The points of "prompts" need three numbers: the input is a volume');
    return [x, y, z ?? 0];
  }
  if (isPlane)
    throw refused('The input is a picture without a place in the patient: give its points with "coordinates": "index"');
  const sign = coordinates === 'lps' ? -1 : 1;
  const exact = transformPoint(invertAffine(affineRas), [sign * x, sign * y, z ?? 0]);
  // Adding 0 makes 0 of -0.
  return exact.map((at) => Math.round(at) + 0) as [number, number, number];
}

const refused = (what: string): EndpointError => new EndpointError('invalid_request', `${what}.`);
