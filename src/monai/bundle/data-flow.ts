import type { ClickUse } from '../points.ts';
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
  /** The clicks that the bundle takes; absent: none. */
  readonly clicks?: ClickUse | undefined;
}

/** Key of the network's answer: MONAI's `CommonKeys.PRED`. */
export const predictionKey = 'pred';
/** Key of what the network is given: MONAI's `CommonKeys.IMAGE`. */
const imageKey = 'image';

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
  const clicks = clicksOf(pre, file);
  const isStacked = (key: string): boolean =>
    metadata.inputs.some((one) => one.key === key && (one.channels ?? 1) - addedChannels(pre, key) > 1);
  const copied = copiedOnly(pre, post);
  const withChannel = new Map<string, boolean>();
  const inPatches = new Set<string>();
  const check = (transform: Transform): void => {
    const refuse = (what: string) =>
      unsupported(what, { file, place: transform.component.place }, transform.component.target);
    // Several files of one key are stacked as channels when they are read.
    for (const { key, channelFirst } of transform.loads ?? []) withChannel.set(key, channelFirst || isStacked(key));
    for (const key of transform.dropsPatches ?? [])
      if (!inPatches.delete(key))
        throw refuse(`${transform.component.target}: '${key.slice(0, 60)}' has no axis of patches here.`);
    for (const key of transform.keys) {
      if (copied.has(key)) continue;
      if (inPatches.has(key))
        throw refuse(
          `${transform.component.target}: the image '${key.slice(0, 60)}' has an axis of patches; SqueezeDimd must come first.`,
        );
      const channel = withChannel.get(key);
      if (channel === undefined)
        throw refuse(`${transform.component.target}: there is no image '${key.slice(0, 60)}' here.`);
      if (!channel && !transform.ignoresChannel)
        throw refuse(
          `${transform.component.target}: the image '${key.slice(0, 60)}' has no channel axis; EnsureChannelFirstd must come first.`,
        );
    }
    for (const key of transform.addsChannel ?? []) withChannel.set(key, true);
    for (const key of transform.makesPatches ?? []) inPatches.add(key);
    for (const { key, like } of transform.makes ?? []) withChannel.set(key, withChannel.get(like) ?? true);
    if (transform.leaves)
      for (const key of [...withChannel.keys()]) if (!transform.leaves(key)) withChannel.delete(key);
  };
  const loads = loadedKeys(pre).filter((key) => !copied.has(key));
  if (loads.length === 0) {
    // Without a loader the bundle is given arrays that are channels first (a data set of patches).
    for (const key of pre[0]?.keys ?? [imageKey]) {
      loads.push(key);
      withChannel.set(key, true);
    }
  }
  for (const transform of pre) check(transform);
  for (const key of copied) withChannel.delete(key);
  if (clicks && loads.length > 1)
    throw unsupported('Clicks in one of several images are not supported.', { file, place: 'preprocessing' });
  const networkInput = withChannel.has(imageKey) ? imageKey : [...withChannel.keys()][0];
  if (networkInput === undefined || (withChannel.size > 1 && networkInput !== imageKey))
    throw unsupported("The preprocessing must give the image 'image'.", { file, place: 'preprocessing' });
  if (inPatches.has(networkInput))
    throw unsupported(`The image '${networkInput}' reaches the network as a list of patches.`, {
      file,
      place: 'preprocessing',
    });
  if (!withChannel.get(networkInput))
    throw unsupported(`The image '${networkInput}' reaches the network without a channel axis.`, {
      file,
      place: 'preprocessing',
    });
  if (!detectsBoxes) withChannel.set(predictionKey, true);
  for (const transform of post) check(transform);
  const saves = post.flatMap((transform) => transform.saves ?? []).filter((key) => !copied.has(key));
  return { loads, networkInput, saves, result: saves.at(-1) ?? predictionKey, clicks };
}

/** Channels that the preprocessing adds to an image besides its own. */
export const addedChannels = (pre: readonly Transform[], key: string): number =>
  pre.reduce((sum, { adds }) => sum + (adds?.key === key ? adds.channels : 0), 0);

const loadedKeys = (transforms: readonly Transform[]): string[] => [
  ...new Set(transforms.flatMap((transform) => (transform.loads ?? []).map(({ key }) => key))),
];

/**
 * Images that the bundle reads and saves again and does nothing else with (a reference segmentation beside the image):
 * a run needs none, and they are no result.
 */
function copiedOnly(pre: readonly Transform[], post: readonly Transform[]): ReadonlySet<string> {
  const saved = new Set(post.flatMap((transform) => transform.saves ?? []));
  const used = new Set([...pre, ...post].flatMap(({ keys, loads, saves }) => (loads || saves ? [] : keys)));
  const loaded = loadedKeys(pre);
  // The network's input may reach it as it was loaded.
  const copied = loaded.filter((key) => key !== imageKey && saved.has(key) && !used.has(key));
  return new Set(copied.length === loaded.length ? [] : copied);
}

/** What all transforms that look at clicks agree on. */
function clicksOf(pre: readonly Transform[], file: string): ClickUse | undefined {
  const [first, ...others] = pre.filter(({ clicks }) => clicks);
  for (const { clicks, component } of others)
    if (clicks?.labels?.join('\n') !== first?.clicks?.labels?.join('\n') || clicks?.least !== first?.clicks?.least)
      throw unsupported(
        'The transforms for clicks name different labels.',
        { file, place: component.place },
        component.target,
      );
  return first?.clicks;
}
