import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseMetadataDocument } from '../../../src/connectors/healthimaging/metadata-document.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { hasShared, shared } from '../../support/shared-data.ts';

const documentOf = (dicom: object, more: object = {}) => ({
  Patient: { DICOM: { PatientName: 'Müller^Jürgen', PatientID: 'A' } },
  Study: {
    DICOM: { StudyInstanceUID: '1.2' },
    Series: {
      '1.3': {
        DICOM: { Modality: 'CT' },
        Instances: { '1.4': { DICOM: dicom, DICOMVRs: {}, ImageFrames: [], ...more } },
      },
    },
  },
});
const instanceOf = (dicom: object, more: object = {}) =>
  parseMetadataDocument(documentOf(dicom, more))[0]!.instances[0]!;

describe('parseMetadataDocument', () => {
  it('merges the levels and keeps text as Unicode', () => {
    const { attributes } = instanceOf({ InstanceNumber: '3 ' });
    expect(attributes.string(tags.PatientName)).toBe('Müller^Jürgen');
    expect(attributes.string(tags.Modality)).toBe('CT');
    expect(attributes.get(tags.InstanceNumber)).toEqual({ vr: 'IS', values: ['3'] });
  });

  it('takes the UIDs of series and instance from the tree where the attributes do not repeat them', () => {
    const { attributes } = instanceOf({});
    expect(attributes.string(tags.SeriesInstanceUID)).toBe('1.3');
    expect(attributes.string(tags.SOPInstanceUID)).toBe('1.4');
  });

  it('trims decimal strings and turns null into an empty element', () => {
    const { attributes } = instanceOf({ PixelSpacing: ['0.25', '0.25 '], AccessionNumber: null });
    expect(attributes.get(tags.PixelSpacing)).toEqual({ vr: 'DS', values: ['0.25', '0.25'] });
    expect(attributes.get(tags.AccessionNumber)).toEqual({ vr: 'SH', values: [] });
  });

  it('leaves out pixel data and file meta', () => {
    const { attributes } = instanceOf({
      PixelData: null,
      TransferSyntaxUID: '1.2.840.10008.1.2',
      ImplementationClassUID: '1',
    });
    expect(attributes.has(tags.PixelData)).toBe(false);
    expect(attributes.has(tags.TransferSyntaxUID)).toBe(false);
  });

  it('takes VRs from DICOMVRs, for private elements too, else from the dictionary and PixelRepresentation', () => {
    const { attributes } = instanceOf(
      { PixelRepresentation: 1, SmallestImagePixelValue: -5, '00091010': 'AAE=', '00091011': '12' },
      { DICOMVRs: { '00091010': 'OB', '00091011': 'IS' } },
    );
    expect(attributes.get(tags.SmallestImagePixelValue)).toEqual({ vr: 'SS', values: [-5] });
    expect(attributes.bytes(0x00091010)).toEqual(Buffer.from([0, 1]));
    expect(attributes.get(0x00091011)?.vr).toBe('IS');
  });

  it('reads sequences', () => {
    const { attributes } = instanceOf({
      ReferencedImageSequence: [{ ReferencedSOPInstanceUID: '1.9' }, { ReferencedSOPInstanceUID: null }],
    });
    const items = attributes.items(tags.ReferencedImageSequence);
    expect(items.map((item) => item.string(tags.ReferencedSOPInstanceUID))).toEqual(['1.9', undefined]);
  });

  it('keeps the place of an empty value among others', () => {
    const { attributes } = instanceOf({ ImageType: ['ORIGINAL', null, 'AXIAL'] });
    expect(attributes.get(tags.ImageType)?.values).toEqual(['ORIGINAL', '', 'AXIAL']);
  });

  it('reads numbers that JSON has not: 64 bits, and what is not finite', () => {
    const { attributes } = instanceOf(
      { '00091010': '-9223372036854775808', '00091011': ['NaN', 'Infinity', 1.5] },
      { DICOMVRs: { '00091010': 'SV', '00091011': 'FD' } },
    );
    expect(attributes.get(0x00091010)?.values).toEqual([-9_223_372_036_854_775_808n]);
    expect(attributes.get(0x00091011)?.values).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 1.5]);
  });

  it('keeps the pixels of an icon, and its own PixelRepresentation', () => {
    const icon = { PixelRepresentation: 0, SmallestImagePixelValue: 7, PixelData: 'AAE=' };
    const { attributes } = instanceOf({ PixelRepresentation: 1, IconImageSequence: [icon] });
    const [item] = attributes.items(0x00880200);
    expect(item?.bytes(tags.PixelData)).toEqual(Buffer.from([0, 1]));
    expect(item?.get(tags.SmallestImagePixelValue)?.vr).toBe('US');
  });

  it('goes by the value where a private element is a sequence at one level and none at another', () => {
    const { attributes } = instanceOf(
      { '00091001': [{ '00091001': 'QUI=', '00091002': 'some text' }] },
      { DICOMVRs: { '00091001': 'SQ', '00091002': 'SQ' } },
    );
    const [item] = attributes.items(0x00091001);
    expect(item?.get(0x00091001)).toEqual({ vr: 'UN', values: [Buffer.from('AB')] });
    expect(item?.get(0x00091002)).toEqual({ vr: 'LO', values: ['some text'] });
  });

  it.each([[null], [undefined], ['']])('takes StoredTransferSyntaxUID %s for the storage format', (uid) => {
    expect(instanceOf({}, { StoredTransferSyntaxUID: uid }).transferSyntaxUid).toBe('1.2.840.10008.1.2.4.202');
  });

  it('gives the checksum of the full resolution, and of those that tell their size', () => {
    const frame = {
      ID: 'f',
      FrameSizeInBytes: 8,
      PixelDataChecksumFromBaseToFullResolution: [{ Checksum: 1 }, { Width: 2, Height: 2, Checksum: 4_294_967_295 }],
    };
    expect(instanceOf({}, { ImageFrames: [frame] }).frames).toEqual([
      {
        id: 'f',
        decodedCrc32: 4_294_967_295,
        decodedBytes: 8,
        decodedLevels: [{ width: 2, height: 2, crc32: 4_294_967_295 }],
      },
    ]);
  });

  it.each([
    ['a list', []],
    ['no Study', {}],
    ['Series as text', { Study: { Series: 'x' } }],
    ['a frame without ID', documentOf({}, { ImageFrames: [{}] })],
    ['an object as a value', documentOf({ Rows: {} })],
    ['text as a binary number', documentOf({ Rows: 'many' })],
  ])('refuses %s', (_name, document) => {
    expect(() => parseMetadataDocument(document)).toThrowError(expect.objectContaining({ code: 'upstream_failed' }));
  });

  it.skipIf(!hasShared)('reads a real document of 588 instances', () => {
    const text = gunzipSync(readFileSync(shared('data/healthimaging-metadata-588.json.gz'))).toString('utf8');
    const [series, ...others] = parseMetadataDocument(JSON.parse(text));
    expect(others).toEqual([]);
    expect(series?.instances).toHaveLength(588);
    for (const { attributes, frames, transferSyntaxUid } of series!.instances) {
      expect(attributes.numbers(tags.ImagePositionPatient)).toHaveLength(3);
      expect(attributes.number(tags.Rows)).toBe(512);
      expect(transferSyntaxUid).toBe('1.2.840.10008.1.2.4.202');
      expect(frames).toEqual([expect.objectContaining({ decodedBytes: 524_288, decodedCrc32: expect.any(Number) })]);
      expect(frames[0]?.decodedLevels.map(({ width }) => width)).toEqual([128, 256, 512]);
    }
  });
});
