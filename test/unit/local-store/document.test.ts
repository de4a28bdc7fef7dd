import { describe, expect, it } from 'vitest';
import type { StagedInstance, StagedInstanceFile } from '../../../src/local-store/import/outcome.ts';
import {
  dicomTagsOf,
  emptyDocument,
  identityDigest,
  liftSeries,
  lowerSeries,
  putInstance,
} from '../../../src/local-store/metadata/document.ts';
import { isSeriesKeyword } from '../../../src/local-store/metadata/levels.ts';

const staged = (sopInstanceUid: string): StagedInstance => ({
  studyInstanceUid: '1.1',
  seriesInstanceUid: '1.2',
  sopInstanceUid,
  sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
  patient: { PatientID: 'P ' },
  study: { StudyInstanceUID: '1.1' },
  identityDigest: '',
});
const file = (series: StagedInstanceFile['series'], instance: StagedInstanceFile['instance']): StagedInstanceFile => ({
  series,
  instance,
  vrs: {},
  storedTransferSyntaxUid: undefined,
  frames: [],
});

describe('the document of an image set', () => {
  it('lifts only what holds for all instances to the series, and takes it down again', () => {
    const document = emptyDocument('d', 'i', staged('1.3'));
    putInstance(document, staged('1.3'), file({ Modality: 'CT', SeriesTime: '10', ProtocolName: 'x' }, { Rows: 1 }));
    putInstance(document, staged('1.4'), file({ Modality: 'CT', SeriesTime: '11' }, { Rows: 2 }));
    const before = JSON.parse(JSON.stringify(document));
    liftSeries(document, isSeriesKeyword);
    expect(document.Study.Series['1.2']).toEqual({
      DICOM: { Modality: 'CT' },
      Instances: {
        '1.3': { DICOM: { SeriesTime: '10', ProtocolName: 'x', Rows: 1 }, DICOMVRs: {}, ImageFrames: [] },
        '1.4': { DICOM: { SeriesTime: '11', Rows: 2 }, DICOMVRs: {}, ImageFrames: [] },
      },
    });
    lowerSeries(document);
    expect(document).toEqual(before);
  });

  it("names a stored syntax only where it is not the store's own", () => {
    const document = emptyDocument('d', 'i', staged('1.3'));
    putInstance(document, staged('1.3'), { ...file({}, {}), storedTransferSyntaxUid: '1.2.840.10008.1.2.1' });
    expect(document.Study.Series['1.2']?.Instances['1.3']).toMatchObject({
      StoredTransferSyntaxUID: '1.2.840.10008.1.2.1',
    });
  });

  it('shows a search summary with trimmed text and whole numbers', () => {
    const document = emptyDocument('d', 'i', staged('1.3'));
    putInstance(document, staged('1.3'), file({ SeriesNumber: '4 ', Modality: 'CT' }, {}));
    liftSeries(document, isSeriesKeyword);
    expect(dicomTagsOf(document)).toEqual({
      DICOMPatientId: 'P',
      DICOMStudyInstanceUID: '1.1',
      DICOMSeriesInstanceUID: '1.2',
      DICOMSeriesModality: 'CT',
      DICOMSeriesNumber: 4,
      DICOMNumberOfStudyRelatedSeries: 1,
      DICOMNumberOfStudyRelatedInstances: 1,
    });
  });

  it('takes absent, empty and blank-padded for the same identity, and nothing else', () => {
    const same = identityDigest({ PatientID: 'P ', PatientBirthDate: null }, { StudyInstanceUID: '1' });
    expect(identityDigest({ PatientID: 'P' }, { StudyInstanceUID: '1' })).toBe(same);
    expect(identityDigest({ PatientID: 'Q' }, { StudyInstanceUID: '1' })).not.toBe(same);
    expect(identityDigest({ PatientID: 'P' }, { StudyInstanceUID: '1', StudyID: '2' })).not.toBe(same);
  });
});
