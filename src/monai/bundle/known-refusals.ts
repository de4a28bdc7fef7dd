import { monaiClassName } from '../transforms/registry.ts';

const vista3d =
  'VISTA-3D is several networks, of which its Python picks some by the prompts of each request: there is no export of it as one ONNX file';

const landmarks =
  'it looks for landmarks in each frame of a 2-D series over time, and results of points are not written yet';

/** Targets that are known and can't be run, with the reason. */
const reasons = new Map([
  ['VistaPreTransformd', vista3d],
  ['VistaPostTransformd', vista3d],
  ['scripts.inferer.Vista3dInferer', vista3d],
  ['scripts.valve_landmarks.LandmarkInferer', landmarks],
  ['scripts.valve_landmarks.NpySaverd', landmarks],
]);

/** What to say of a target that is not run: `: ` and the reason, where it is a better one than that nobody made it; else what is run instead. */
export function whyNot(target: string, supported: readonly string[]): string {
  const reason = reasons.get(monaiClassName(target));
  return reason === undefined ? `; supported are ${supported.join(', ')}` : `: ${reason}`;
}
