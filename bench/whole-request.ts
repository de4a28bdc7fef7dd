import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { InvocationAnswer } from '../src/api/invocation.ts';
import { BenchEndpoint } from './bench-endpoint.ts';
import { interleave } from './interleave.ts';
import { JsonProcess } from './json-process.ts';
import { OrtReference } from './ort-reference.ts';
import { phantomSeries } from './phantom-series.ts';
import { type BenchResult, median, timeRow } from './table.ts';

const shared = process.env.MAP_ENDPOINT_SHARED ?? fileURLToPath(new URL('../../shared', import.meta.url));
const windowSize = 96;
const windowStep = 48;
/** Voxel sizes that the bundle resamples to (its Spacingd). */
const pixdimMm = [1.5, 1.5, 2] as const;
const sourceMm = [0.75, 0.75, 3] as const;

/** Windows that MONAI's sliding window lays over the resampled volume. */
function windowsOver(shape: readonly [number, number, number]): number {
  return shape.reduce((product, size, axis) => {
    const resampled = Math.round(((size - 1) * (sourceMm[axis] as number)) / (pixdimMm[axis] as number)) + 1;
    return product * (Math.ceil(Math.max(0, resampled - windowSize) / windowStep) + 1);
  }, 1);
}

/**
 * One whole request, image set in, files out, on the model zoo's UNet and 512×512×100 voxels: our endpoint over HTTP,
 * against the network alone (its windows on two idle processes of one thread each) and against MONAI in one quiet, warm
 * process that reads the DICOM and writes the SEG as well.
 */
export async function wholeRequest(rounds: number): Promise<BenchResult> {
  const endpoint = await new BenchEndpoint().start();
  const bundle = join(shared, 'models', 'spleen_ct_full');
  endpoint.addModel(bundle, 'spleen.tar.gz');
  const series = join(endpoint.files, 'ct');
  const windows = windowsOver(await phantomSeries(series, 100));
  const id = endpoint.importFolder(series);
  const ort = new OrtReference({ modelPath: join(bundle, 'models', 'model.onnx'), windows, windowSize, processes: 2 });
  const script = fileURLToPath(new URL('./monai_reference.py', import.meta.url));
  const monai = new JsonProcess(process.env.MAP_ENDPOINT_MONAI_PYTHON ?? 'python3', [script, bundle]);
  let answer: InvocationAnswer | undefined;
  let theirVoxels = 0;
  let theirPhases: Record<string, number> = {};
  let request = 0;
  const ours = async (): Promise<number> => {
    const from = performance.now();
    const response = await fetch(`${endpoint.url}/invocations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-amzn-sagemaker-target-model': 'spleen.tar.gz' },
      body: JSON.stringify({
        inputs: [id],
        inferenceId: `round-${request++}`,
        output: { uri: `${pathToFileURL(endpoint.files).href}/results/` },
      }),
    });
    const body = await response.json();
    const ms = performance.now() - from;
    if (!response.ok) throw new Error(JSON.stringify(body));
    answer = body as InvocationAnswer;
    return ms;
  };
  const theirs = async (): Promise<number> => {
    const told = await monai.ask({ dicom: series, seg: join(endpoint.root, 'reference.dcm') });
    theirVoxels = (told.voxels as Record<string, number>)['1'] ?? 0;
    theirPhases = told.phases as Record<string, number>;
    return told.total as number;
  };
  const names = ['map-endpoint', 'network alone', 'MONAI'] as const;
  try {
    const runs = [ours, () => ort.run(), theirs];
    const contenders = names.map((name, index) => ({ name, run: runs[index] as () => Promise<number> }));
    const times = await interleave(contenders, rounds);
    const [own, network, reference] = names.map((name) => times.get(name) ?? []) as [number[], number[], number[]];
    const phases = Object.entries(answer?.timingsMs ?? {}).map(([phase, ms]) => `${phase} ${Math.round(ms)}`);
    const monaiPhases = Object.entries(theirPhases).map(([phase, ms]) => `${phase} ${Math.round(ms)}`);
    const ourVoxels = answer?.measurements[0]?.voxels ?? 0;
    return {
      title: `Whole request, spleen_ct_full on 512×512×100, ${windows} windows`,
      rows: [
        timeRow('map-endpoint', own, `last: ${phases.join(', ')}`),
        timeRow('network alone (ort-reference)', network, 'two idle processes of one thread each'),
        timeRow('MONAI (torch fp32, sw_batch_size 4)', reference, `last: ${monaiPhases.join(', ')}`),
        { name: 'ours / network alone', value: median(own) / median(network), unit: '×', note: 'aim: at most 1.35' },
        { name: 'MONAI / ours', value: median(reference) / median(own), unit: '×', note: 'aim: at least 1.5' },
        {
          name: "MONAI's network part / ours",
          value: (theirPhases.inference ?? 0) / (answer?.timingsMs.inference ?? 1),
          unit: '×',
          note: 'below 1: its network is the faster one',
        },
        {
          name: 'voxels that differ in number',
          value: Math.abs(ourVoxels - theirVoxels),
          unit: 'voxels',
          note: `of ${theirVoxels}`,
        },
      ],
    };
  } finally {
    await Promise.all([ort.close(), monai.close()]);
    await endpoint.stop();
  }
}
