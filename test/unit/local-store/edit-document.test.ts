import { describe, expect, it } from 'vitest';
import type { MetadataDocument } from '../../../src/local-store/metadata/document.ts';
import { editDocument } from '../../../src/local-store/metadata/edit-document.ts';
import { parseEdit } from '../../../src/local-store/metadata/edit-request.ts';

const document = (): MetadataDocument => ({
  SchemaVersion: '1.1',
  DatastoreID: 'd',
  ImageSetID: 'i',
  Patient: { DICOM: { PatientID: 'P', PatientName: 'A^B' } },
  Study: {
    DICOM: { StudyInstanceUID: '1', StudyDescription: null },
    Series: {
      '1.1': {
        DICOM: { SeriesInstanceUID: '1.1', Modality: 'CT' },
        Instances: {
          '1.1.1': { DICOM: { SOPInstanceUID: '1.1.1', SeriesDescription: 'a' }, DICOMVRs: {}, ImageFrames: [] },
          '1.1.2': { DICOM: { SOPInstanceUID: '1.1.2', SeriesDescription: 'b' }, DICOMVRs: {}, ImageFrames: [] },
        },
      },
    },
  },
});
const rules = { force: false, isPrimary: true };
const edit = (part: object) => parseEdit(JSON.stringify({ SchemaVersion: 1.1, ...part }), 'updatableAttributes');
const series = (part: object) => ({ Study: { Series: { '1.1': part } } });

describe('an edit of a metadata document', () => {
  it('changes only what it names, and removes before it sets', () => {
    const changed = document();
    editDocument(
      changed,
      edit({ Patient: { DICOM: { PatientName: 'x' } } }),
      edit({ Patient: { DICOM: { PatientName: 'C' } } }),
      rules,
    );
    expect(changed.Patient.DICOM).toEqual({ PatientID: 'P', PatientName: 'C' });
    expect({ ...changed, Patient: null }).toEqual({ ...document(), Patient: null });
  });

  it('lets a value of the series hold for all instances, and one of an instance for it alone', () => {
    const whole = document();
    editDocument(whole, undefined, edit(series({ DICOM: { SeriesDescription: 'c' } })), rules);
    expect(whole.Study.Series['1.1']?.DICOM.SeriesDescription).toBe('c');
    expect(whole.Study.Series['1.1']?.Instances['1.1.1']?.DICOM).toEqual({ SOPInstanceUID: '1.1.1' });
    const one = document();
    editDocument(
      one,
      undefined,
      edit(series({ Instances: { '1.1.1': { DICOM: { SeriesDescription: 'c' } } } })),
      rules,
    );
    expect(one.Study.Series['1.1']?.Instances['1.1.2']?.DICOM.SeriesDescription).toBe('b');
  });

  it('tells which instances left and which have another name', () => {
    const changed = document();
    const result = editDocument(
      changed,
      edit(series({ Instances: { '1.1.1': {} } })),
      edit(series({ Instances: { '1.1.2': { DICOM: { SOPInstanceUID: '9' } } } })),
      { force: true, isPrimary: false },
    );
    expect(result).toEqual({ removed: ['1.1.1'], renamed: new Map([['1.1.2', '9']]) });
    expect(Object.keys(changed.Study.Series['1.1']?.Instances ?? {})).toEqual(['9']);
  });

  it.each([
    ['an instance that is not there', series({ Instances: { '7': { DICOM: { InstanceNumber: '1' } } } })],
    ['a series that is not there', { Study: { Series: { '7': { DICOM: { SeriesNumber: '1' } } } } }],
    ['an attribute of another level', { Study: { DICOM: { PatientID: 'Q' } } }],
    ['a frame attribute', series({ Instances: { '1.1.1': { DICOM: { Columns: 3 } } } })],
    ['a date that is none', { Study: { DICOM: { StudyDate: '2020-01-01' } } }],
    ['a number where text belongs', { Patient: { DICOM: { PatientID: 5 } } }],
    ['a prototype', { Patient: { DICOM: JSON.parse('{"__proto__": "x", "constructor": "y"}') } }],
  ])('refuses %s', (_what, part) => {
    expect(() => editDocument(document(), undefined, edit(part), rules)).toThrow(
      expect.objectContaining({ name: 'ValidationException' }),
    );
  });

  it('refuses to leave an image set without instances', () => {
    const all = edit(series({ Instances: { '1.1.1': {}, '1.1.2': {} } }));
    expect(() => editDocument(document(), all, undefined, rules)).toThrow(/at least one instance/);
  });

  it.each(['{', '[]', '{"SchemaVersion": 2}', '{"SchemaVersion": 1.1, "Other": {}}'])('is no %s', (text) => {
    expect(() => parseEdit(text, 'updatableAttributes')).toThrow(/updatableAttributes/);
  });
});
