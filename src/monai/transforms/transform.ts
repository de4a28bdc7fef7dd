import type { Arguments } from '../arguments.ts';
import type { Component } from '../bundle/config-value.ts';
import type { BoxMode, BoxSpace } from '../detection/detections.ts';
import type { ImageData, RunContext } from '../meta-image.ts';
import type { ClickUse } from '../points.ts';

/** A configured transform, its arguments checked, ready to run. */
export interface Transform {
  readonly component: Component;
  apply(data: ImageData, context: RunContext): Promise<void>;
  /** Keys whose images come from outside (`LoadImaged`). */
  readonly loads?: readonly LoadedKey[] | undefined;
  /** Keys that get a channel axis here (`EnsureChannelFirstd`). */
  readonly addsChannel?: readonly string[] | undefined;
  /** True when the transform does not mind whether there is a channel axis. */
  readonly ignoresChannel?: boolean | undefined;
  /** Keys that it reads or changes. */
  readonly keys: readonly string[];
  /** Keys that it makes, each with the channel axis that another has. */
  readonly makes?: readonly { readonly key: string; readonly like: string }[] | undefined;
  /** Whether a key is still there afterwards, where the transform drops some. */
  leaves?(key: string): boolean;
  /** The clicks of a request that it looks at. */
  readonly clicks?: ClickUse | undefined;
  /** Channels that it, with others of its kind, adds to an image that is loaded. */
  readonly adds?: { readonly key: string; readonly channels: number } | undefined;
  /** Keys that get an axis of one patch before the channels, and keys that lose it. */
  readonly makesPatches?: readonly string[] | undefined;
  readonly dropsPatches?: readonly string[] | undefined;
  /** Images that the bundle asks to be saved. */
  readonly saves?: readonly string[] | undefined;
  /** What the values of all its keys are afterwards, where it makes them so. */
  readonly means?: ValueMeaning | undefined;
  /** What it does to a detector's boxes. */
  readonly boxes?: BoxStep | undefined;
  /** One transform that does the work of this and the next, when there is such a one. */
  fuse?(next: Transform): Transform | undefined;
}

/** Probabilities, or 1 for what is and 0 for what is not. */
export type ValueMeaning = 'probability' | 'flag';

/** What a transform takes of boxes and makes of them. */
export interface BoxStep {
  readonly key: string;
  /** Keys that go with the boxes. */
  readonly labels: readonly string[];
  readonly takes: BoxForm;
  readonly gives: BoxForm;
}

/** How the numbers of a box are meant; what is absent is any, or stays. */
export interface BoxForm {
  readonly mode?: BoxMode | undefined;
  readonly space?: BoxSpace | undefined;
}

export interface LoadedKey {
  readonly key: string;
  readonly channelFirst: boolean;
}

/** What the other parts of the bundle tell a transform while it is compiled. */
export interface CompileScope {
  /** The transforms of the preprocessing, flat, once they are compiled; empty while they are. */
  readonly preprocessing: readonly Transform[];
  /** The `Compose` that they come from. */
  readonly preprocessingRoot: Component | undefined;
  /** The image that a transform without keys works on. */
  readonly bareKey: string;
}

/** Entry of the registry: a target by MONAI's class name, and how its arguments make a transform. */
export interface TransformDefinition {
  readonly target: string;
  /** True where there is no twin for a bare image: it is about keys. */
  readonly needsKeys?: boolean;
  compile(args: Arguments, scope: CompileScope): Transform;
}
