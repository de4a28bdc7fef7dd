import type { Transform } from '../transforms/transform.ts';
import type { BundleMetadata } from './metadata.ts';
import { unsupported } from './unsupported.ts';

/** Keys of the images before and after the network. */
export interface DataFlow {
  /** Keys that the request's images go to. */
  readonly loads: readonly string[];
  /** The preprocessed image that the network gets. */
  readonly networkInput: string;
  /** The result: what the bundle saves, else the prediction. */
  readonly result: string;
  readonly saves: readonly string[];
}

/** Key of the network's answer: MONAI's `CommonKeys.PRED`. */
export const predictionKey = 'pred';

/**
 * Follows the keys through both programs.
 *
 * @param detectsBoxes - whether the network's answer is no image
 * @throws EndpointError `unsupported_bundle`: an image is used before it exists, or as channels when it has no channel axis
 */
export function followKeys(
  pre: readonly Transform[],
  post: readonly Transform[],
  file: string,
  metadata: Pick<BundleMetadata, 'inputs'>,
  detectsBoxes = false,
): DataFlow {
  const isStacked = (key: string): boolean => metadata.inputs.some((one) => one.key === key && (one.channels ?? 1) > 1);
  const withChannel = new Map<string, boolean>();
  const check = (transform: Transform): void => {
    const refuse = (what: string) =>
      unsupported(what, { file, place: transform.component.place }, transform.component.target);
    // Several files of one key are stacked as channels when they are read.
    for (const { key, channelFirst } of transform.loads ?? []) withChannel.set(key, channelFirst || isStacked(key));
    for (const key of transform.keys) {
      const channel = withChannel.get(key);
      if (channel === undefined)
        throw refuse(`${transform.component.target}: there is no image '${key.slice(0, 60)}' here.`);
      if (!channel && !transform.ignoresChannel)
        throw refuse(
          `${transform.component.target}: the image '${key.slice(0, 60)}' has no channel axis; EnsureChannelFirstd must come first.`,
        );
    }
    for (const key of transform.addsChannel ?? []) withChannel.set(key, true);
    for (const { key, like } of transform.makes ?? []) withChannel.set(key, withChannel.get(like) ?? true);
    if (transform.leaves)
      for (const key of [...withChannel.keys()]) if (!transform.leaves(key)) withChannel.delete(key);
  };
  const loads = [...new Set(pre.flatMap((transform) => (transform.loads ?? []).map(({ key }) => key)))];
  if (loads.length === 0) {
    // Without a loader the bundle is given arrays that are channels first (a data set of patches).
    for (const key of pre[0]?.keys ?? ['image']) {
      loads.push(key);
      withChannel.set(key, true);
    }
  }
  for (const transform of pre) check(transform);
  const networkInput = withChannel.has('image') ? 'image' : [...withChannel.keys()][0];
  if (networkInput === undefined || (withChannel.size > 1 && networkInput !== 'image'))
    throw unsupported("The preprocessing must give the image 'image'.", { file, place: 'preprocessing' });
  if (!withChannel.get(networkInput))
    throw unsupported(`The image '${networkInput}' reaches the network without a channel axis.`, {
      file,
      place: 'preprocessing',
    });
  if (!detectsBoxes) withChannel.set(predictionKey, true);
  for (const transform of post) check(transform);
  const saves = post.flatMap((transform) => transform.saves ?? []);
  return { loads, networkInput, saves, result: saves.at(-1) ?? predictionKey };
}
