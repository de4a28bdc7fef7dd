import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { codesOfName } from '../../../../src/formats/dicom/seg/anatomy.ts';
import { hasShared, shared } from '../../../support/shared-data.ts';

const codeOf = (name: string): string | undefined => codesOfName(name)?.type[0];

describe('codes of names', () => {
  it.each([
    ['Spleen', '78961009'],
    ['kidney_left', '64033007'],
    ['Right Kidney', '64033007'],
    ['left lung upper lobe', '45653009'],
    ['lung_upper_lobe_left', '45653009'],
    ['rib_right_12', '113197003'],
    ['left rib 1', '113197003'],
    ['vertebrae_T10', '7610001'],
    ['heart_atrium_left', '82471001'],
    ['heart_atrium_right', '73829009'],
    ['Right-AnG---angular-gyrus', '40146001'],
    ['Right-FuG---fusiform-gyrus ', '40146001'],
    ['Left-Ent---entorhinal-area', '3937002'],
    ['Left-Accumbens-Area', '427667007'],
    ['Cerebellar-Vermal-Lobules-VIII-X', '113305005'],
  ])('%s: %s', (name, code) => {
    expect(codeOf(name)).toBe(code);
    expect(codesOfName(name)?.category[0]).toBe('123037004');
  });

  it('tell a tumour from a structure', () => {
    expect(codesOfName('Tumor core')).toEqual({
      category: ['49755003', 'SCT', 'Morphologically Abnormal Structure'],
      type: ['108369006', 'SCT', 'Neoplasm'],
    });
    expect(codeOf('left kidney cyst')).toBe('367643001');
  });

  it.each(['', 'left', 'not spleen', 'spleen or liver', 'angular gyrus', 'category 1', 'heart atrium', '__proto__'])(
    'give none for %j, rather than a wrong one',
    (name) => {
      expect(codesOfName(name)).toBeUndefined();
    },
  );
});

describe
  .skipIf(!hasShared)
  .each([
    'wholeBody_ct_segmentation',
    'vista3d',
    'wholeBrainSeg_Large_UNEST_segmentation',
    'swin_unetr_btcv_segmentation',
    'multi_organ_segmentation',
    'pancreas_ct_dints_segmentation',
    'renalStructures_CECT_segmentation',
    'renalStructures_UNEST_segmentation',
    'spleen_ct_segmentation',
    'prostate_mri_anatomy',
    'brats_mri_segmentation',
    'ventricular_short_axis_3label',
  ])('%s', (bundle) => {
  it('names no structure without a code', () => {
    const metadata = JSON.parse(readFileSync(shared(`zoo/${bundle}/configs/metadata.json`), 'utf8')) as {
      network_data_format: { outputs: Record<string, { channel_def: Record<string, string> }> };
    };
    const [output] = Object.values(metadata.network_data_format.outputs);
    const names = Object.values(output?.channel_def ?? {}).filter((name) => name !== 'background');
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => codesOfName(name) === undefined)).toEqual([]);
  });
});
