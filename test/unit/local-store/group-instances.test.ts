import { describe, expect, it } from 'vitest';
import { type NumberedInstance, planImageSets } from '../../../src/local-store/import/group-instances.ts';
import type { ImageSetVersion } from '../../../src/local-store/records.ts';

let number = 0;
const instance = (study: string, series: string, identityDigest: string): NumberedInstance => ({
  number: number++,
  instance: {
    studyInstanceUid: study,
    seriesInstanceUid: series,
    sopInstanceUid: `${series}.${number}`,
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
    patient: {},
    study: {},
    identityDigest,
  },
});
const present = (imageSetId: string, study: string, series: string, identityDigest: string, isPrimary = true) =>
  ({
    imageSetId,
    isPrimary,
    identityDigest,
    dicomTags: { DICOMStudyInstanceUID: study, DICOMSeriesInstanceUID: series },
  }) as ImageSetVersion;
const plans = (instances: NumberedInstance[], imageSets: ImageSetVersion[] = []) =>
  planImageSets(instances, imageSets).map((plan) => ({
    series: plan.instances[0]?.instance.seriesInstanceUid,
    count: plan.instances.length,
    isPrimary: plan.isPrimary,
    existing: plan.existing?.imageSetId,
  }));

describe('planImageSets', () => {
  it('makes one primary image set a series', () => {
    expect(plans([instance('1', '1.1', 'x'), instance('1', '1.2', 'x'), instance('1', '1.1', 'x')])).toEqual([
      { series: '1.1', count: 2, isPrimary: true, existing: undefined },
      { series: '1.2', count: 1, isPrimary: true, existing: undefined },
    ]);
  });

  it('keeps what speaks of another patient apart, also within one job', () => {
    expect(plans([instance('1', '1.1', 'x'), instance('1', '1.1', 'y'), instance('1', '1.2', 'y')])).toEqual([
      { series: '1.1', count: 1, isPrimary: true, existing: undefined },
      { series: '1.1', count: 1, isPrimary: false, existing: undefined },
      { series: '1.2', count: 1, isPrimary: false, existing: undefined },
    ]);
  });

  it('joins the image set that fits, primary or not, and lets what is there decide', () => {
    const there = [present('first', '1', '1.1', 'x'), present('other', '1', '1.1', 'y', false)];
    expect(plans([instance('1', '1.1', 'y'), instance('1', '1.1', 'x'), instance('1', '1.3', 'z')], there)).toEqual([
      { series: '1.1', count: 1, isPrimary: false, existing: 'other' },
      { series: '1.1', count: 1, isPrimary: true, existing: 'first' },
      { series: '1.3', count: 1, isPrimary: false, existing: undefined },
    ]);
  });
});
