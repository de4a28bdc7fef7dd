import { join } from 'node:path';
import { EndpointError } from '../../../src/errors.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import { shared } from '../../support/shared-data.ts';
import {
  type Distance,
  distanceOf,
  faultsOf,
  isLabels,
  type LabelDistance,
  labelDistanceOf,
  labelFaultsOf,
} from './compare.ts';
import type { Judge, Judgement } from './judge.ts';
import { addStub, copyBundle, type OurSide } from './ours.ts';
import type { PlannedBundle, PlannedImage } from './plan.ts';

/** One row of the table: a bundle on an image. */
export interface CampaignRow {
  readonly bundle: string;
  readonly image: string;
  /** Why there are no figures: we refuse the bundle or the image, or MONAI can't be asked. */
  readonly refused?: string;
  /** The test whose figures these are, where the campaign has none. */
  readonly judgedBy?: string;
  readonly preprocessed?: Distance;
  readonly shape?: readonly number[];
  /** The result: labels, or probabilities and other floats. */
  readonly labels?: LabelDistance;
  readonly floats?: Distance;
  /** What is beyond the limits; empty when all holds. */
  readonly faults: readonly string[];
}

/** A file of the plan as a path. */
const pathOf = (file: string, images: string): string =>
  file.startsWith('shared:') ? shared(`data/${file.slice('shared:'.length)}`) : join(images, file);

/**
 * Holds a bundle against MONAI on each of its images.
 *
 * @param scratch - folder for the bundle with its network
 */
export async function* runBundle(
  planned: PlannedBundle,
  scratch: string,
  judge: Judge,
  ours: OurSide,
): AsyncGenerator<CampaignRow> {
  const dir = copyBundle(planned, scratch);
  const refused = await refusalOf(async () => {
    await compileBundle(dir);
    if (planned.from === 'zoo') await addStub(planned, dir, judge);
    await ours.load(dir);
  });
  if (refused !== undefined) {
    yield { bundle: planned.name, image: '(none)', refused, faults: [] };
    return;
  }
  if (planned.judgedBy) yield { bundle: planned.name, image: '(none)', judgedBy: planned.judgedBy, faults: [] };
  for (const image of planned.images) yield await runImage(planned, image, dir, judge, ours);
  await ours.unload();
}

async function runImage(
  planned: PlannedBundle,
  image: PlannedImage,
  bundleDir: string,
  judge: Judge,
  ours: OurSide,
): Promise<CampaignRow> {
  const row = { bundle: planned.name, image: image.name };
  const images = await judge.images();
  const files = Object.fromEntries(
    Object.entries(image.files).map(([key, value]) => [
      key,
      typeof value === 'string' ? pathOf(value, images) : value.map((file) => pathOf(file, images)),
    ]),
  );
  let answer: Awaited<ReturnType<OurSide['answer']>> | undefined;
  const refused = await refusalOf(async () => {
    answer = await ours.answer(files, image.clicks);
  });
  if (!answer) return { ...row, refused: refused as string, faults: [] };
  let expected: Judgement;
  try {
    expected = await judge.judge({
      bundleDir,
      files,
      ...(image.clicks && { clicks: image.clicks }),
      input: planned.input ?? 'image',
      result: 'pred',
    });
  } catch (thrown) {
    return { ...row, faults: [thrown instanceof Error ? thrown.message : String(thrown)] };
  }
  const preprocessed = distanceOf(answer.preprocessed, expected.preprocessed);
  const shape = expected.preprocessed.shape;
  const faults = faultsOf(preprocessed).map((fault) => `preprocessed: ${fault}`);
  if (isLabels(expected.result)) {
    const labels = labelDistanceOf(answer.result, expected.result);
    return { ...row, preprocessed, shape, labels, faults: [...faults, ...labelFaultsOf(labels)] };
  }
  const floats = distanceOf(answer.result, expected.result);
  return { ...row, preprocessed, shape, floats, faults: [...faults, ...faultsOf(floats)] };
}

/** The message of a refusal; undefined when there was none. */
async function refusalOf(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof EndpointError) return thrown.message;
    throw thrown;
  }
}
