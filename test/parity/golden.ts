import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { readNifti } from '../../src/formats/nifti/reader.ts';
import type { Volume } from '../../src/imaging/volume.ts';
import { hasShared, shared } from '../support/shared-data.ts';

const python = process.env.MAP_ENDPOINT_MONAI_PYTHON;
const goldens = process.env.MAP_ENDPOINT_GOLDENS ?? join(tmpdir(), 'map-endpoint-goldens');

/** True where MONAI can be asked, or has been asked before. `.ci/run` sets both variables, so nothing is skipped there. */
export const hasJudge: boolean = hasShared && (python !== undefined || existsSync(goldens));

/** What MONAI answers for a bundle and an image. */
export interface Golden {
  readonly preprocessed: Volume;
  readonly labels: Volume;
}

/**
 * MONAI's answer by `tools/monai_golden.py`, made when it is not there and kept under a name of everything that it
 * depends on.
 *
 * @param bundle - folder of a bundle
 * @param image - NIfTI file
 */
export async function goldenOf(bundle: string, image: string): Promise<Golden> {
  const tool = shared('tools/monai_golden.py');
  const hash = createHash('sha256');
  for (const path of [tool, join(bundle, 'configs/inference.json'), join(bundle, 'models/model.onnx'), image])
    hash.update(await readFile(path));
  const dir = join(goldens, `${basename(bundle)}-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(dir)) await askMonai(tool, bundle, image, dir);
  const [preprocessed, labels] = await Promise.all(
    ['pre.nii.gz', 'pred.nii.gz'].map(async (name) => readNifti(await readFile(join(dir, name)))),
  );
  return { preprocessed, labels } as Golden;
}

async function askMonai(tool: string, bundle: string, image: string, dir: string): Promise<void> {
  if (!python) throw new Error('MAP_ENDPOINT_MONAI_PYTHON must name a Python with test/parity/requirements.txt.');
  await mkdir(goldens, { recursive: true });
  const work = await mkdtemp(join(goldens, 'work-'));
  try {
    await promisify(execFile)(python, [tool, bundle, image, work], { timeout: 600_000, maxBuffer: 64 * 1024 * 1024 });
    await rename(work, dir);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
