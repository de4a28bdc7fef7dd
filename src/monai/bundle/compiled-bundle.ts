import { rearrange } from '../../compute/kernels/rearrange.ts';
import { type KernelType, sharedImage } from '../../compute/kernels/shared-arrays.ts';
import type { ComputePool } from '../../compute/pool.ts';
import { EndpointError, throwIfAborted } from '../../errors.ts';
import type { Affine } from '../../imaging/affine.ts';
import type { Network } from '../../imaging/network.ts';
import { channelStart, type StridedImage, sameLayout, stridedOver, xFastest } from '../../imaging/strided-image.ts';
import type { NetworkSignature, TensorInfo } from '../../imaging/tensor.ts';
import { type Shape3, type Volume, type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import type { Detections } from '../detection/detections.ts';
import { imageOf } from '../image-data.ts';
import type { Inferer } from '../inferers/inferer.ts';
import { spatialRank } from '../inferers/network-form.ts';
import type { ImageData, MetaImage, RunContext, Volumes } from '../meta-image.ts';
import { type Click, pointsOfClicks } from '../points.ts';
import { imageOfVolumes } from '../stacked-image.ts';
import type { Transform, ValueMeaning } from '../transforms/transform.ts';
import { checkClicks } from './check-clicks.ts';
import { addedChannels, type DataFlow, predictionKey } from './data-flow.ts';
import type { LabelTail } from './label-tail.ts';
import type { BundleMetadata } from './metadata.ts';
import { checkInferer, type IoNames, networkEnds, networkInput } from './network-names.ts';

/** Parts of a bundle, compiled and checked. */
export interface BundleProgram {
  readonly metadata: BundleMetadata;
  readonly io: IoNames;
  readonly flow: DataFlow;
  readonly preprocessing: readonly Transform[];
  readonly inferer: Inferer;
  readonly postprocessing: readonly Transform[];
  /** The steps that an inferer may do itself, and what is left when it did. */
  readonly labelTail: LabelTail | undefined;
  readonly afterLabels: readonly Transform[];
  /** What the values of an image are after the postprocessing, by its key. */
  readonly meanings: ReadonlyMap<string, ValueMeaning>;
}

/** What a run is given beside its images. */
export interface RunOptions {
  readonly network: Network;
  readonly pool: ComputePool;
  readonly signal: AbortSignal;
  /** Told what the answer's warnings shall say. */
  warn?(message: string): void;
  /** Clicks in the (first) image; {@link CompiledBundle.checkClicks} tells whether the bundle takes them. */
  readonly clicks?: readonly Click[] | undefined;
  /** Most bytes that a prediction of all channels may take, where its label map can be made without it. */
  readonly denseBytes?: number | undefined;
  /** Called at each change of phase and after each window; the fraction is that of the phase. */
  progress(phase: 'preprocess' | 'inference' | 'postprocess', fraction: number): void;
}

/** Options of a run on one image, or on several that belong together. */
export type SingleRunOptions = RunOptions & { readonly images?: readonly NamedImage[] | undefined };

/** An image of the result: each channel x fastest, on the grid that `affineRas` places. */
export interface ResultImage {
  readonly kind: 'image';
  readonly channels: readonly VoxelArray[];
  readonly shape: Shape3;
  readonly affineRas: Affine;
  /** True when the values are channel numbers from an argmax, so that `channel_def` names them. */
  readonly fromArgmax: boolean;
  /** What the values are, where the postprocessing tells: probabilities, or 1 for what is and 0 for what is not. */
  readonly meaning?: ValueMeaning | undefined;
}

/** What a run gives: an image, or what a detector found. */
export type BundleResult = ResultImage | Detections;

/** One of several images of a run, with the name of what chose it. */
export interface NamedImage {
  readonly name: string;
  readonly volume: Volume;
  /** All its channels, where it has several; `volume` is the first. */
  readonly channels?: readonly Volume[] | undefined;
}

/** A MONAI bundle as a program: preprocessing, network, postprocessing. Holds no state between runs. */
export class CompiledBundle {
  readonly metadata: BundleMetadata;
  readonly #program: BundleProgram;

  constructor(program: BundleProgram) {
    this.#program = program;
    this.metadata = program.metadata;
  }

  /** Keys of the images that a run needs, and of those that the bundle saves. */
  get flow(): DataFlow {
    return this.#program.flow;
  }

  /** Spatial axes of what the network is given, where the bundle fixes them. */
  get windowShape(): readonly number[] | undefined {
    return this.#program.inferer.windowShape;
  }

  /**
   * Checks that the network fits the bundle.
   *
   * @throws EndpointError `unsupported_bundle`
   */
  checkNetwork(signature: NetworkSignature): void {
    checkInferer(this.endsOf(signature).input, this.#program.inferer);
  }

  /**
   * The input and the outputs of a network that the bundle uses.
   *
   * @throws EndpointError `unsupported_bundle`
   */
  endsOf(signature: NetworkSignature): { readonly input: TensorInfo; readonly outputs: readonly TensorInfo[] } {
    const { inferer, io } = this.#program;
    if (inferer.kind === 'detector')
      return { input: networkInput(signature, this.metadata, io), outputs: inferer.headsOf(signature) };
    const { input, output } = networkEnds(signature, this.metadata, io);
    return { input, outputs: [output] };
  }

  /** Whether the images for a network are planes. */
  takesPictures(signature: NetworkSignature): boolean {
    return spatialRank(this.endsOf(signature).input) === 2 && !this.#program.inferer.takesVolumes;
  }

  /** Whether a run finds boxes instead of making an image. */
  get detects(): boolean {
    return this.#program.inferer.kind === 'detector';
  }

  /** How many images a run takes beside a single one: the bundle's keys, or the channels of its only one. */
  get imagesPerRun(): number {
    const { loads } = this.flow;
    if (loads.length > 1) return loads.length;
    const [only = ''] = loads;
    const channels = this.metadata.inputs.find(({ key }) => key === only)?.channels ?? 1;
    return Math.max(1, channels - addedChannels(this.#program.preprocessing, only));
  }

  /**
   * Checks a request's clicks, before there is an image.
   *
   * @throws EndpointError `invalid_request`: the bundle takes none, others or another number
   */
  checkClicks(clicks: readonly { readonly label?: string | undefined }[]): void {
    checkClicks(this.flow.clicks, clicks);
  }

  /**
   * Runs a bundle on one image, or on several that are the channels of its input or its inputs by name; the result is the
   * image that the bundle saves (last), else its prediction; of a detector its boxes.
   */
  async infer(image: Volume, options: SingleRunOptions): Promise<BundleResult> {
    const { loads, result } = this.flow;
    const images = options.images ?? [{ name: '', volume: image }];
    const wanted = this.imagesPerRun;
    const given = loads.length === 1 && wanted === 3 ? coloured(images, options) : images;
    const data = await this.#run(imagesByKey(loads, given, wanted), options);
    return data.detections ?? this.#result(data, result, options);
  }

  /** {@link infer} of a bundle that makes an image. */
  async run(image: Volume, options: SingleRunOptions): Promise<ResultImage> {
    const result = await this.infer(image, options);
    if (result.kind === 'image') return result;
    throw new EndpointError('internal', 'The bundle finds boxes and makes no image.');
  }

  /** Runs the bundle over images by key and gives every image that it saves, and the prediction, by key. */
  async runAll(volumes: Volumes, options: RunOptions): Promise<Map<string, ResultImage>> {
    const { flow } = this.#program;
    const data = await this.#run(volumes, options);
    const results = new Map<string, ResultImage>();
    for (const key of data.detections ? [] : new Set([flow.result, ...flow.saves]))
      results.set(key, await this.#result(data, key, options));
    return results;
  }

  async #result(data: ImageData, key: string, context: RunContext): Promise<ResultImage> {
    const result = await toResult(imageOf(data, key), context);
    return { ...result, meaning: this.#program.meanings.get(key) };
  }

  async #run(volumes: Volumes, options: RunOptions): Promise<ImageData> {
    const { flow, postprocessing, afterLabels, labelTail, inferer } = this.#program;
    const { pool, signal } = options;
    const context: RunContext = { pool, signal, warn: (message) => options.warn?.(message) };
    const { input, outputs } = this.endsOf(options.network);
    const isFlat = this.takesPictures(options.network);
    if (
      !isFlat &&
      Object.values(volumes)
        .flat()
        .some(({ isPlane }) => isPlane)
    )
      throw new EndpointError('unprocessable_image', 'The model takes volumes; the input is a plane.');
    const data = await this.#preprocessed(volumes, options, isFlat);
    options.progress('inference', 0);
    const progress = (fraction: number): void => options.progress('inference', fraction);
    const labels = labelTail?.planFor(data, flow.networkInput);
    const whole = { ...context, progress, labels, denseBytes: options.denseBytes };
    const image = imageOf(data, flow.networkInput);
    let left = postprocessing;
    if (inferer.kind === 'detector') data.detections = await inferer.detect(image, options.network, input, whole);
    else {
      const output = outputs[0] as TensorInfo;
      const prediction = await inferer.run(image, { network: options.network, input, output }, whole);
      data.set(predictionKey, prediction);
      if (prediction.fromArgmax) left = afterLabels;
    }
    await applyAll(left, data, context, (fraction) => options.progress('postprocess', fraction));
    return data;
  }

  /** The image as the network gets it, for comparing with MONAI; `isFlat` where a network of two axes does. */
  async preprocess(volumes: Volumes, options: Omit<RunOptions, 'network'>, isFlat = false): Promise<ResultImage> {
    const data = await this.#preprocessed(volumes, options, isFlat);
    return toResult(imageOf(data, this.flow.networkInput), options);
  }

  /** @param isFlat - whether an image of one slice is a plane to the bundle */
  async #preprocessed(volumes: Volumes, options: Omit<RunOptions, 'network'>, isFlat = false): Promise<ImageData> {
    const data: ImageData = new Map();
    const { clicks = [], pool, signal, warn } = options;
    this.checkClicks(clicks);
    for (const key of this.flow.loads) {
      const given = Object.hasOwn(volumes, key) ? volumes[key] : undefined;
      if (!given) throw new EndpointError('internal', `No volume was given for the bundle's image '${key}'.`);
      const image = await imageOfVolumes(Array.isArray(given) ? given : [given as Volume], options, warn);
      data.set(key, isFlat && image.voxels.shape[2] === 1 ? { ...image, spatialDims: 2 } : image);
    }
    const { voxels, affineRas } = imageOf(data, this.flow.loads[0] as string);
    const points = pointsOfClicks(clicks, { shape: voxels.shape, affineRas });
    const context: RunContext = { pool, signal, points, warn: (message) => warn?.(message) };
    await applyAll(this.#program.preprocessing, data, context, (fraction) => options.progress('preprocess', fraction));
    return data;
  }
}

/** A grey picture for a model of colours has the same value in all three, as every reader of pictures turns it. */
function coloured(images: readonly NamedImage[], { warn }: SingleRunOptions): readonly NamedImage[] {
  const [first] = images;
  if (images.length !== 1 || !first?.volume.isPlane || channelsOf(first).length !== 1) return images;
  warn?.('The picture is grey and the model takes three colours: all three were given the grey.');
  return [{ ...first, channels: [first.volume, first.volume, first.volume] }];
}

const channelsOf = ({ volume, channels }: NamedImage): readonly Volume[] => channels ?? [volume];

/** Images for the bundle's keys: by name, or in order where none has one; all of them for an only key. */
function imagesByKey(keys: readonly string[], images: readonly NamedImage[], channels: number): Volumes {
  const [only] = keys;
  if (keys.length === 1 && only !== undefined) {
    const volumes = images.flatMap(channelsOf);
    if (volumes.length === 1 || volumes.length === channels) return { [only]: volumes };
    throw new EndpointError(
      'unprocessable_image',
      `The input holds ${volumes.length} images or channels; the model takes ${channels}.`,
    );
  }
  const isNamed = images.some(({ name }) => name !== '');
  const given = keys.map((key, n) => [key, isNamed ? images.find(({ name }) => name === key) : images[n]] as const);
  const missing = given.filter(([, image]) => !image).map(([key]) => key);
  if (missing.length > 0) {
    throw new EndpointError(
      'unprocessable_image',
      `The bundle takes the images ${keys.join(', ')}: ${missing.join(', ')} was not given. Name the selections in map.json so.`,
    );
  }
  return Object.fromEntries(given.map(([key, image]) => [key, channelsOf(image as NamedImage)]));
}

async function applyAll(
  transforms: readonly Transform[],
  data: ImageData,
  context: RunContext,
  progress: (fraction: number) => void,
): Promise<void> {
  progress(0);
  for (const [n, transform] of transforms.entries()) {
    throwIfAborted(context.signal);
    await transform.apply(data, context);
    progress((n + 1) / transforms.length);
  }
}

/** Each channel x fastest; a view when the memory is so already. */
async function toResult(image: MetaImage, { pool, signal }: RunContext): Promise<ResultImage> {
  const { channels, shape, data } = image.voxels;
  const ordered = stridedOver(new Uint8Array(0), 0, shape, xFastest);
  let voxels: StridedImage<VoxelArray> = image.voxels;
  if (!sameLayout(voxels, ordered)) {
    const type: KernelType = data instanceof Uint8Array ? 'uint8' : data instanceof Uint16Array ? 'uint16' : 'float32';
    const copy = sharedImage(type, channels, shape, xFastest);
    await rearrange(voxels, copy, pool, signal);
    voxels = copy;
  }
  return {
    kind: 'image',
    channels: Array.from({ length: channels }, (_, channel) => {
      const start = channelStart(voxels, channel);
      return voxels.data.subarray(start, start + voxelCount(shape));
    }),
    shape,
    affineRas: image.affineRas,
    fromArgmax: image.fromArgmax,
  };
}
