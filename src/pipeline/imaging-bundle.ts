import type { ComputePool } from '../compute/pool.ts';
import type { Affine } from '../imaging/affine.ts';
import type { Network } from '../imaging/network.ts';
import type { Volume, VoxelArray } from '../imaging/volume.ts';

/** What the pipeline knows of a bundle's `metadata.json`. */
export interface BundleMetadata {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  /** `network_data_format.inputs.*.modality` of the image input, as written there. */
  readonly modality?: string | undefined;
  /** `channel_def` of the output: channel number → name. */
  readonly channelDef: Readonly<Record<string, string>>;
}

/** A result image: `channels` volumes of `shape`, each x fastest, one after another. */
export interface ImageResult {
  readonly kind: 'image';
  readonly channels: readonly VoxelArray[];
  readonly shape: readonly [number, number, number];
  readonly affineRas: Affine;
  /** True when the last discretising step was an argmax, so that `channel_def` names the labels. */
  readonly fromArgmax: boolean;
}

/** A compiled MONAI bundle as the pipeline runs it. */
export interface ImagingBundle {
  readonly metadata: BundleMetadata;
  run(
    image: Volume,
    options: {
      network: Network;
      pool: ComputePool;
      signal: AbortSignal;
      /** Called at each change of phase and after each window. */
      progress(phase: 'preprocess' | 'inference' | 'postprocess', fraction: number): void;
    },
  ): Promise<ImageResult>;
}
