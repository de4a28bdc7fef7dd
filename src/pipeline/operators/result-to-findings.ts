import { EndpointError } from '../../errors.ts';
import { type Affine, spacingMm } from '../../imaging/affine.ts';
import { voxelCount } from '../../imaging/volume.ts';
import type { Findings } from '../findings.ts';
import type { BundleMetadata, BundleResult, DetectionResult, ImageResult } from '../imaging-bundle.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segmentation } from '../segmentation.ts';
import type { ResultToSegmentation } from './result-to-segmentation.ts';
import type { SourceImage } from './series-to-volume.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly result: BundleResult;
}

/** What a result says: segments on the source's grid, or findings about the image as a whole. */
export type ResultContent = Segmentation | Findings;

/**
 * Turns what the bundle gave into what the writers write: boxes, figures of classes, or segments.
 *
 * @throws EndpointError `model_failed`: values that are not numbers, or a class that nobody named;
 *   `unsupported_bundle`: names that do not fit
 */
export class ResultToFindings implements Operator<Inputs, { content: ResultContent }> {
  readonly name = 'result_to_findings';
  readonly #toSegmentation: ResultToSegmentation;
  readonly #metadata: BundleMetadata;

  constructor(toSegmentation: ResultToSegmentation, metadata: BundleMetadata) {
    this.#toSegmentation = toSegmentation;
    this.#metadata = metadata;
  }

  async compute({ image, result }: Inputs, context: ExecutionContext): Promise<{ content: ResultContent }> {
    const { channelDef } = this.#metadata;
    if (result.kind === 'detections') {
      warnOfOblique(image.volume.affineRas, context);
      return { content: boxesOf(result, channelDef) };
    }
    if (voxelCount(result.shape) === 1 && voxelCount(image.volume.shape) > 1)
      return { content: classesOf(result, channelDef) };
    return { content: (await this.#toSegmentation.compute({ image, result }, context)).segmentation };
  }
}

type ChannelDef = BundleMetadata['channelDef'];

function classesOf({ channels, fromArgmax, meaning }: ImageResult, names: ChannelDef): Findings {
  const values = channels.map((channel) => channel[0] as number);
  if (!values.every(Number.isFinite))
    throw new EndpointError('model_failed', 'The network gave class figures that are not numbers.');
  const [only] = values;
  if (fromArgmax && values.length === 1 && only !== undefined) {
    const known = Object.keys(names).map(Number);
    if (known.length > 0 && !known.includes(only))
      throw new EndpointError('model_failed', `The result is class ${only}, which channel_def does not name.`);
    const all = known.length > 0 ? known.sort((a, b) => a - b) : [only];
    const classes = all.map((number) => finding(number, number === only ? 1 : 0, names));
    return { kind: 'classification', meaning: 'flag', classes };
  }
  if (Object.keys(names).some((channel) => Number(channel) >= values.length)) {
    throw new EndpointError(
      'unsupported_bundle',
      `The bundle answers ${values.length} class figures, channel_def of metadata.json names others.`,
    );
  }
  const classes = values.map((value, number) => finding(number, value, names));
  return { kind: 'classification', meaning: meaning ?? 'value', classes };
}

const finding = (number: number, value: number, names: ChannelDef) => ({
  class: number,
  name: names[number] ?? null,
  value: rounded(value),
});

function boxesOf({ boxes, mode, space, scores, labels }: DetectionResult, names: ChannelDef): Findings {
  if (space === 'voxels') throw new EndpointError('internal', "The bundle's boxes have no place in the patient.");
  const found = Array.from(scores, (score, n) => ({
    box: Array.from(boxes.subarray(n * 6, n * 6 + 6), rounded),
    score: rounded(score),
    label: labels[n] as number,
    name: names[labels[n] as number] ?? null,
  }));
  if (!found.every(({ box, score }) => [...box, score].every(Number.isFinite)))
    throw new EndpointError('model_failed', 'The network gave boxes that are not numbers.');
  return { kind: 'detections', space, unit: 'mm', mode, boxes: found };
}

/** The digits that a float32 has. */
const rounded = (value: number): number => Number(value.toPrecision(7));

/** Part of a voxel's length beside the patient's axis that a box may hide: about half a degree. */
const obliquePart = 0.01;

/** Boxes lie along the patient's axes: of an oblique image they are larger than what the network found. */
function warnOfOblique(affine: Affine, context: ExecutionContext): void {
  const lengths = spacingMm(affine);
  const isOblique = lengths.some((length, axis) => {
    const parts = [0, 1, 2].map((row) => Math.abs(affine[(row * 4 + axis) as 0]) / length);
    return (parts.sort((a, b) => b - a)[1] as number) > obliquePart;
  });
  if (isOblique)
    context.warn(
      "The image lies obliquely in the patient: each box is the one along the patient's axes that encloses what was found, so its sizes are too large; centres are exact.",
    );
}
