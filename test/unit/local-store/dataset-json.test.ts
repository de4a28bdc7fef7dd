import { describe, expect, it } from 'vitest';
import { DicomDataset } from '../../../src/formats/dicom/dataset.ts';
import { leveledAttributes } from '../../../src/local-store/metadata/dataset-json.ts';

const meta = new DicomDataset()
  .set(0x00020000, 'UL', 200)
  .set(0x00020001, 'OB', Uint8Array.of(0, 1))
  .set(0x00020010, 'UI', '1.2.840.10008.1.2');

const json = (dataset: DicomDataset, hasPixelData = false) => leveledAttributes(meta, dataset, hasPixelData);

describe('leveledAttributes', () => {
  it("sorts attributes by level; the file meta group is the instance's", () => {
    const dataset = new DicomDataset()
      .set(0x00080060, 'CS', 'CT')
      .set(0x00100010, 'PN', 'Yamada^Tarou=山田^太郎')
      .set(0x0020000d, 'UI', '1.2')
      .set(0x00280010, 'US', 512);
    expect(json(dataset, true)).toEqual({
      patient: { PatientName: 'Yamada^Tarou=山田^太郎' },
      study: { StudyInstanceUID: '1.2' },
      series: { Modality: 'CT' },
      instance: {
        FileMetaInformationVersion: 'AAE=',
        TransferSyntaxUID: '1.2.840.10008.1.2',
        Rows: 512,
        PixelData: null,
      },
      vrs: {},
    });
  });

  it('makes a list of what may have several values, also of one', () => {
    const dataset = new DicomDataset()
      .set(0x00281050, 'DS', '40 ')
      .set(0x00281052, 'DS', '-1000 ')
      .set(0x00280030, 'DS', '0.25', '0.25 ')
      .set(0x00080008, 'CS');
    expect(json(dataset).instance).toMatchObject({
      WindowCenter: ['40 '],
      RescaleIntercept: '-1000 ',
      PixelSpacing: ['0.25', '0.25 '],
      ImageType: null,
    });
  });

  it('writes numbers, tags, bytes and what JSON has no number for', () => {
    const dataset = new DicomDataset()
      .set(0x00280106, 'SS', -5)
      .set(0x00280009, 'AT', 0x00181063)
      .set(0x00189073, 'FD', Number.NaN)
      .set(0x00082112, 'SQ', new DicomDataset().set(0x00081150, 'UI', '1.2').set(0x00080100, 'SH'))
      .set(0x00081140, 'SQ');
    const { instance, vrs } = json(dataset);
    expect(instance).toMatchObject({
      SmallestImagePixelValue: -5,
      FrameIncrementPointer: ['00181063'],
      AcquisitionDuration: 'NaN',
      SourceImageSequence: [{ ReferencedSOPClassUID: '1.2', CodeValue: null }],
      ReferencedImageSequence: [],
    });
    expect(vrs).toEqual({ SmallestImagePixelValue: 'SS' });
  });

  it('keys private, repeating and unknown elements by hexadecimal digits and tells their VR, in items too', () => {
    const item = new DicomDataset().set(0x00290010, 'LO', 'ACME').set(0x00291001, 'OB', Uint8Array.of(255));
    const dataset = new DicomDataset()
      .set(0x00090010, 'LO', 'GEMS')
      .set(0x00091001, 'IS', '7 ')
      .set(0x60000010, 'US', 4)
      .set(0x60020010, 'US', 5)
      .set(0x00081140, 'SQ', item);
    const { instance, vrs } = json(dataset);
    expect(instance).toMatchObject({
      '00090010': 'GEMS',
      '00091001': '7 ',
      '60000010': 4,
      '60020010': 5,
      ReferencedImageSequence: [{ '00290010': 'ACME', '00291001': '/w==' }],
    });
    expect(vrs).toEqual({
      '00090010': 'LO',
      '00091001': 'IS',
      '60000010': 'US',
      '60020010': 'US',
      '00290010': 'LO',
      '00291001': 'OB',
    });
  });

  it('tells the VR that an object uses against the dictionary', () => {
    expect(json(new DicomDataset().set(0x00181020, 'UN', Uint8Array.of(65))).vrs).toEqual({ SoftwareVersions: 'UN' });
  });

  it('leaves group lengths and offset tables out', () => {
    const dataset = new DicomDataset().set(0x00080000, 'UL', 4).set(0x7fe00001, 'OV', new Uint8Array(8));
    expect(Object.keys(json(dataset).instance)).toEqual(['FileMetaInformationVersion', 'TransferSyntaxUID']);
  });
});
