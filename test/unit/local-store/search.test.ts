import { describe, expect, it } from 'vitest';
import type { DicomTags, ImageSetVersion } from '../../../src/local-store/records.ts';
import { searchImageSets } from '../../../src/local-store/search.ts';
import { parseShape, type SearchCriteria, searchShape } from '../../../src/local-store/wire.ts';

const imageSet = (imageSetId: string, createdAt: number, dicomTags: DicomTags, isPrimary = true): ImageSetVersion => ({
  imageSetId,
  datastoreId: 'd'.repeat(32),
  version: 1,
  workflowStatus: 'CREATED',
  createdAt,
  updatedAt: createdAt + 10,
  isPrimary,
  dicomTags,
  identityDigest: '',
});

const sets = [
  imageSet('a', 100.123, { DICOMPatientId: 'P1', DICOMStudyDate: '20240115', DICOMStudyTime: '101500.5' }),
  imageSet('b', 200, { DICOMPatientId: 'P1', DICOMStudyInstanceUID: '1.2', DICOMStudyDate: '20240116' }, false),
  imageSet('c', 300, { DICOMPatientId: 'P2', DICOMSeriesInstanceUID: '1.3', DICOMAccessionNumber: 'A' }),
];
const find = (criteria: SearchCriteria): string[] =>
  searchImageSets(sets, parseShape(searchShape, criteria, 'searchCriteria'), {}).items.map((item) => item.imageSetId);
const between = (...values: NonNullable<SearchCriteria['filters']>[number]['values']) =>
  find({ filters: [{ operator: 'BETWEEN', values }] }).sort();

describe('searchImageSets', () => {
  it('gives all, latest update first, without criteria', () => {
    expect(find({})).toEqual(['c', 'b', 'a']);
  });

  it.each([
    [{ DICOMPatientId: 'P1' }, ['a', 'b']],
    [{ DICOMStudyInstanceUID: '1.2' }, ['b']],
    [{ DICOMSeriesInstanceUID: '1.3' }, ['c']],
    [{ DICOMAccessionNumber: 'A' }, ['c']],
    [{ DICOMStudyId: 'none' }, []],
    [{ isPrimary: false }, ['b']],
    [{ createdAt: 100.123 }, ['a']],
    [{ DICOMStudyDateAndTime: { DICOMStudyDate: '20240115' } }, ['a']],
  ])('EQUAL %j', (value, expected) => {
    expect(find({ filters: [{ operator: 'EQUAL', values: [value] }] }).sort()).toEqual(expected);
  });

  it('ANDs two filters', () => {
    const filters = [
      { operator: 'EQUAL' as const, values: [{ DICOMPatientId: 'P1' }] },
      { operator: 'EQUAL' as const, values: [{ isPrimary: true }] },
    ];
    expect(find({ filters })).toEqual(['a']);
  });

  it('takes time bounds inclusively, and a bound without time as the whole day', () => {
    const day = (DICOMStudyDate: string, DICOMStudyTime?: string) => ({
      DICOMStudyDateAndTime: { DICOMStudyDate, ...(DICOMStudyTime ? { DICOMStudyTime } : {}) },
    });
    expect(between({ createdAt: 100.123 }, { createdAt: 200 })).toEqual(['a', 'b']);
    expect(between({ updatedAt: 210.5 }, { updatedAt: 999 })).toEqual(['c']);
    expect(between(day('20240115'), day('20240115'))).toEqual(['a']);
    expect(between(day('20240115', '101501'), day('20240116'))).toEqual(['b']);
    expect(between(day('20240101', '101500'), day('20240115', '1015'))).toEqual(['a']);
    expect(between(day('20240101'), day('20240115', '101500.4'))).toEqual([]);
  });

  it('sorts by study date, those without one first', () => {
    expect(find({ sort: { sortField: 'DICOMStudyDateAndTime', sortOrder: 'ASC' } })).toEqual(['c', 'a', 'b']);
  });

  it.each([
    [{ filters: [] }],
    [{ filters: [{ operator: 'EQUAL', values: [] }] }],
    [{ filters: [{ operator: 'LIKE', values: [{ DICOMPatientId: 'P' }] }] }],
    [{ filters: [{ operator: 'EQUAL', values: [{}] }] }],
    [{ filters: [{ operator: 'EQUAL', values: [{ DICOMPatientId: 'P', DICOMStudyId: 'S' }] }] }],
    [{ filters: [{ operator: 'EQUAL', values: [{ DICOMStudyInstanceUID: 'x' }] }] }],
    [{ filters: [{ operator: 'EQUAL', values: [{ createdAt: 1 }, { createdAt: 2 }] }] }],
    [{ filters: [{ operator: 'BETWEEN', values: [{ createdAt: 1 }] }] }],
    [{ filters: [{ operator: 'BETWEEN', values: [{ createdAt: 2 }, { createdAt: 1 }] }] }],
    [{ filters: [{ operator: 'BETWEEN', values: [{ createdAt: 1 }, { updatedAt: 2 }] }] }],
    [{ filters: [{ operator: 'BETWEEN', values: [{ DICOMPatientId: 'a' }, { DICOMPatientId: 'b' }] }] }],
    [{ sort: { sortField: 'version', sortOrder: 'ASC' } }],
  ])('refuses %j', (criteria) => {
    expect(() => find(criteria as SearchCriteria)).toThrow(expect.objectContaining({ name: 'ValidationException' }));
  });
});
