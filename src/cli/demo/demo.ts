import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InvocationAnswer } from '../../api/invocation.ts';
import { EndpointError } from '../../errors.ts';
import { ReportedFailure } from '../exit-codes.ts';
import { importImages } from '../import-images.ts';
import { invokeModel } from '../invoke-model.ts';
import { type OwnEndpoint, startOwnEndpoint } from '../own-endpoint.ts';
import { packBundle } from '../pack-bundle.ts';
import { folderUri } from '../server-uri.ts';
import { createTerminal, formatTable } from '../terminal.ts';
import { renderPhantom } from './phantom.ts';
import { parsePhantom } from './phantom-description.ts';
import { writePhantomSeries } from './phantom-series.ts';
import { makeSecondModel } from './second-model.ts';
import { diceOverlap, segmentMask } from './segment-mask.ts';
import { Stopwatch } from './stopwatch.ts';

/** What `map-endpoint demo` was told. */
export interface DemoFlags {
  readonly out: string;
  readonly json: boolean;
  /** What the demo's own store asks for. */
  readonly token?: string;
}

/** MONAI with this bundle gets 0.97 on this phantom: below this, something between the image and the result is wrong. */
const leastDice = 0.95;
const samplesDir = fileURLToPath(new URL('../../../samples/', import.meta.url));
const targets = { first: 'spleen_ct_demo.tar.gz', second: 'spleen_ct_quick.tar.gz' } as const;

/** `map-endpoint demo`: everything for real, on a patient who doesn't exist. */
export async function runDemo(flags: DemoFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const watch = new Stopwatch((phase) => terminal.progress(phase));
  const outDir = resolve(flags.out);
  const workDir = await mkdtemp(join(tmpdir(), 'map-endpoint-demo-'));
  let endpoint: OwnEndpoint | undefined;
  try {
    const dirs = { ct: join(outDir, 'ct'), results: join(outDir, 'results'), models: join(workDir, 'models') };
    for (const name of ['ct', 'results', 'seg.dcm', 'result.json', 'overview.png']) {
      await rm(join(outDir, name), { recursive: true, force: true });
    }
    for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true });

    const phantom = parsePhantom(await readFile(join(samplesDir, 'phantom.json'), 'utf8'));
    const { image, truth } = await watch.time('render the phantom', () => renderPhantom(phantom));
    await watch.time('write the CT series', () => writePhantomSeries(dirs.ct, image));
    const bundleDir = join(samplesDir, 'spleen_ct_demo');
    await watch.time('pack the model', () => packBundle(bundleDir, join(dirs.models, targets.first)));
    const running = await watch.time('start the endpoint', () =>
      startOwnEndpoint({ models: dirs.models, data: join(workDir, 'data'), allow: [outDir] }),
    );
    endpoint = running;
    const imported = await watch.time('import into the store', () =>
      importImages(dirs.ct, { endpointUrl: running.url, token: flags.token }),
    );
    const [imageSet] = imported.imageSets;
    if (!imageSet || imported.imageSets.length !== 1 || imported.failures.length > 0) {
      throw new EndpointError('internal', 'The series did not become one image set.');
    }
    const invoke = (targetModel: string): Promise<InvocationAnswer> =>
      invokeModel({
        endpointUrl: running.url,
        targetModel,
        contentType: 'application/json',
        body: JSON.stringify({
          inputs: [{ datastoreId: imported.datastoreId, imageSetId: imageSet.imageSetId }],
          output: { uri: folderUri(dirs.results, running.url) },
        }),
      });
    const diceOf = async (answer: InvocationAnswer): Promise<number> =>
      diceOverlap(segmentMask(await readFile(fileOf(answer, 'dicom-seg')), truth, 1), truth.data);

    const answer = await watch.time('invoke the model', () => invoke(targets.first));
    const dice = await watch.time('compare with the truth', () => diceOf(answer));
    await copyFile(fileOf(answer, 'dicom-seg'), join(outDir, 'seg.dcm'));
    await copyFile(fileOf(answer, 'png'), join(outDir, 'overview.png'));
    await copyFile(join(fileOf(answer, 'dicom-seg'), '..', 'result.json'), join(outDir, 'result.json'));

    await watch.time('drop a second model in', () => addSecondModel(bundleDir, workDir, dirs.models));
    const second = await watch.time('invoke the second model', () => invoke(targets.second));
    const secondDice = await diceOf(second);
    await watch.time('stop the endpoint', () => running.stop());

    const models = [
      { answer, dice },
      { answer: second, dice: secondDice },
    ];
    terminal.json({
      outDir,
      timesMs: Object.fromEntries(watch.phases.map(({ phase, ms }) => [phase, Math.round(ms)])),
      totalMs: Math.round(watch.totalMs),
      models: models.map((each) => ({
        model: each.answer.model,
        measurements: each.answer.measurements,
        dice: each.dice,
        timingsMs: each.answer.timingsMs,
      })),
    });
    for (const line of describe(models, watch, outDir, image.shape)) terminal.line(line);
    if (!(dice >= leastDice)) {
      throw new ReportedFailure(`The segmentation misses the true spleen: Dice ${dice.toFixed(3)}.`);
    }
  } finally {
    await endpoint?.stop();
    await rm(workDir, { recursive: true, force: true });
  }
}

/** Packed beside the folder first and moved in whole, as any tool should: the endpoint waits for files that still grow. */
async function addSecondModel(bundleDir: string, workDir: string, modelsDir: string): Promise<void> {
  const dir = join(workDir, 'second');
  await makeSecondModel(bundleDir, dir);
  const packed = join(workDir, targets.second);
  await packBundle(dir, packed);
  await rename(packed, join(modelsDir, targets.second));
}

function fileOf(answer: InvocationAnswer, type: string): string {
  const uri = answer.outputs.find((output) => output.type === type)?.uri;
  if (!uri) throw new EndpointError('internal', `The answer has no ${type}.`);
  return fileURLToPath(uri);
}

function describe(
  models: readonly { answer: InvocationAnswer; dice: number }[],
  watch: Stopwatch,
  outDir: string,
  shape: readonly [number, number, number],
): string[] {
  const segments = models.flatMap(({ answer, dice }) =>
    answer.measurements.map((one) => [
      answer.model.name,
      one.segment,
      one.voxels,
      one.volumeMl.toFixed(1),
      dice.toFixed(3),
    ]),
  );
  const times = watch.phases.map(({ phase, ms }) => [phase, Math.round(ms)]);
  return [
    '',
    `A CT of ${shape.join(' × ')} voxels, segmented by two models:`,
    ...formatTable([['model', 'segment', 'voxels', 'ml', 'Dice against the true spleen'], ...segments]),
    '',
    ...formatTable([['phase', 'ms'], ...times, ['all', Math.round(watch.totalMs)]]),
    '',
    `Look at ${outDir}: seg.dcm and ct/ in any DICOM viewer, overview.png, result.json`,
  ];
}
