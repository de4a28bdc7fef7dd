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
  /** What the values are, where the bundle tells: probabilities, or 1 for what is and 0 for what is not. */
  readonly meaning?: 'probability' | 'flag' | undefined;
}

/** What a detector found, best first. */
export interface DetectionResult {
  readonly kind: 'detections';
  /** Six numbers a box. */
  readonly boxes: Float32Array;
  /** Order of the six, by MONAI's name. */
  readonly mode: string;
  /** The patient's space that they are millimetres in. */
  readonly space: 'LPS' | 'RAS' | 'voxels';
  readonly scores: Float32Array;
  readonly labels: Int32Array;
}

export type BundleResult = ImageResult | DetectionResult;

/** One of several images of a run. */
export interface NamedVolume {
  /** Of the selection in `map.json` that chose it; empty where there is none. */
  readonly name: string;
  readonly volume: Volume;
  /** All its channels, where it has several; `volume` is the first. */
  readonly channels?: readonly Volume[] | undefined;
}

/** A voxel of the image that the user marks, and as what. */
export interface Click {
  readonly voxel: readonly [number, number, number];
  readonly label?: string | undefined;
}

/** A compiled MONAI bundle as the pipeline runs it. */
export interface ImagingBundle {
  readonly metadata: BundleMetadata;
  /** True when it finds boxes instead of making an image. */
  readonly detects?: boolean | undefined;
  /** How many images a run takes beside a single one: channels of its input, or inputs. Absent: one only. */
  readonly imagesPerRun?: number | undefined;
  /** @param image - whose grid the result lies on: the only one, or the first of `options.images` */
  infer(
    image: Volume,
    options: {
      /** All images, where there are several. */
      images?: readonly NamedVolume[] | undefined;
      /** In `image`. */
      clicks?: readonly Click[] | undefined;
      /** Told what the answer's warnings shall say. */
      warn?(message: string): void;
      network: Network;
      pool: ComputePool;
      signal: AbortSignal;
      /** Called at each change of phase and after each window. */
      progress(phase: 'preprocess' | 'inference' | 'postprocess', fraction: number): void;
    },
  ): Promise<BundleResult>;
}
