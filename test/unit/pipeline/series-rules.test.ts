import { describe, expect, it } from 'vitest';
import { seriesRulesSchema } from '../../../src/api/map-json.ts';
import { DicomDataset } from '../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { compileSeriesRules } from '../../../src/pipeline/operators/series-rules.ts';

const first = new DicomDataset()
  .set(tags.Modality, 'CS', 'CT')
  .set(tags.SeriesDescription, 'LO', 'Abdomen Portal Venous 3.0')
  .set(tags.SeriesNumber, 'IS', '4')
  .set(tags.SliceThickness, 'DS', '3.0')
  .set(tags.ImageType, 'CS', 'ORIGINAL', 'PRIMARY', 'AXIAL')
  .set(tags.AccessionNumber, 'SH')
  .set(tags.PatientPosition, 'CS', 'HFS')
  .set(tags.ImageOrientationPatient, 'DS', '1', '0', '0', '0', '0.9', '-0.43589');

function matches(conditions: Record<string, unknown>, more: object = {}): boolean {
  const rules = seriesRulesSchema.parse({ selections: [{ name: 'x', conditions }], ...more });
  return compileSeriesRules(rules)[0]!.matches(first);
}

describe('series conditions, as the App SDK reads them', () => {
  it.each<[object, boolean]>([
    [{}, true],
    [{ Modality: 'ct' }, true],
    [{ Modality: 'MR' }, false],
    [{ SeriesDescription: 'portal' }, true],
    [{ SeriesDescription: '^Abdomen.*3\\.0$' }, true],
    [{ SeriesDescription: '^portal' }, false],
    [{ SeriesDescription: '(arterial|PORTAL) venous' }, true],
    [{ Modality: 'CT', SeriesDescription: 'arterial' }, false],
    [{ BodyPartExamined: 'ABDOMEN' }, false],
    [{ AccessionNumber: 'x' }, false],
    [{ BodyPartExamined: '' }, true],
    [{ SeriesNumber: 0 }, true],
    [{ ImageType: [] }, true],
    [{ SeriesNumber: 4 }, true],
    [{ SeriesNumber: 5 }, false],
    [{ SeriesNumber: '[3-5]' }, true],
    [{ SeriesNumber: '4|44' }, true],
    [{ SliceThickness: '3' }, false],
    [{ SliceThickness: '3.*' }, true],
    [{ SliceThickness: [3, 5] }, true],
    [{ SliceThickness: [1, 3] }, true],
    [{ SliceThickness: [3.1, 5] }, false],
    [{ SliceThickness: [3, '>'] }, false],
    [{ SliceThickness: [3, '>='] }, true],
    [{ SliceThickness: [3, '<='] }, true],
    [{ SliceThickness: [4, '<'] }, true],
    [{ SliceThickness: [3, '!='] }, false],
    [{ ImageType: ['PRIMARY', 'original'] }, true],
    [{ ImageType: ['PRIMARY', 'DERIVED'] }, false],
    [{ ImageType: ['PRIMARY', '!DERIVED'] }, true],
    [{ ImageType: ['PRIMARY', '!axial'] }, false],
    [{ ImageType: 'AXIAL' }, true],
    [{ ImageType: ['AX'] }, false],
    [{ ImageOrientationPatient: 'Axial' }, true],
    [{ ImageOrientationPatient: 'Sagittal' }, false],
  ])('%j: %s', (conditions, expected) => {
    expect(matches(conditions as Record<string, unknown>)).toBe(expected);
  });

  it('finds parts of terms only when asked to, as the SDK does', () => {
    expect(matches({ ImageType: ['AX'] }, { substringTerms: true })).toBe(true);
  });

  it('needs a known patient position for an orientation', () => {
    const rules = seriesRulesSchema.parse({ selections: [{ conditions: { ImageOrientationPatient: 'Axial' } }] });
    const unknown = new DicomDataset(first.entries()).set(tags.PatientPosition, 'CS');
    expect(() => compileSeriesRules(rules)[0]!.matches(unknown)).toThrowError(
      expect.objectContaining({ code: 'unprocessable_image' }),
    );
  });

  it.each<[object]>([
    [{ NoSuchKeyword: 'x' }],
    [{ SeriesDescription: '(unclosed' }],
    [{ SeriesDescription: '(a)\\1' }],
    [{ SeriesDescription: '(?=x)' }],
    [{ ImageOrientationPatient: 'Oblique' }],
  ])('refuses %j', (conditions) => {
    expect(() => matches(conditions as Record<string, unknown>)).toThrowError(
      expect.objectContaining({ code: 'unsupported_bundle' }),
    );
  });
});
