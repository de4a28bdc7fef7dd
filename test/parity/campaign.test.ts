import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runBundle } from './campaign/campaign.ts';
import { Judge } from './campaign/judge.ts';
import { OurSide } from './campaign/ours.ts';
import { type PlannedBundle, plan } from './campaign/plan.ts';
import { hasJudge } from './golden.ts';

/** The fast part of the campaign: bundles that between them use every inferer and most transforms, on small images. */
const part = {
  spleen_ct_segmentation: ['CT oblique'],
  pediatric_abdominal_ct_segmentation: ['CT anisotropic'],
  wholeBody_ct_segmentation: ['CT cropped'],
  prostate_mri_anatomy: ['MR cropped'],
  ventricular_short_axis_3label: ['MR turned (SPL)'],
} as const;

describe.skipIf(!hasJudge)('zoo bundles with stub networks equal MONAI', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'parity-part-'));
  const judge = new Judge();
  let ours: OurSide;
  beforeAll(async () => {
    ours = await OurSide.start();
  });
  afterAll(async () => {
    await ours.close();
    await judge.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it.each(Object.entries(part))('%s', async (name, images) => {
    const planned = plan.find((bundle) => bundle.name === name) as PlannedBundle;
    const chosen = planned.images.filter((image) => (images as readonly string[]).includes(image.name));
    expect(chosen).toHaveLength(images.length);
    const verdicts: unknown[] = [];
    for await (const { image, refused, faults, labels, floats } of runBundle(
      { ...planned, images: chosen },
      scratch,
      judge,
      ours,
    ))
      verdicts.push({ image, refused, faults, isSomething: labels ? labels.labels > 0 : floats !== undefined });
    expect(verdicts).toEqual(
      chosen.map(({ name: image }) => ({ image, refused: undefined, faults: [], isSomething: true })),
    );
  });
});
