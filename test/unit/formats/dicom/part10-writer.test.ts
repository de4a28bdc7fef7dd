import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { DicomDataset } from '../../../../src/formats/dicom/dataset.ts';
import { formatDs } from '../../../../src/formats/dicom/decimal-string.ts';
import { readPart10 } from '../../../../src/formats/dicom/part10-reader.ts';
import { writePart10 } from '../../../../src/formats/dicom/part10-writer.ts';
import { tags } from '../../../../src/formats/dicom/tags.ts';
import { transferSyntax } from '../../../../src/formats/dicom/transfer-syntax.ts';

const options = {
  sopClassUid: '1.2.840.10008.5.1.4.1.1.7',
  sopInstanceUid: '2.25.1',
  transferSyntaxUid: transferSyntax.explicitLittleEndian,
};

const sample = () =>
  new DicomDataset()
    .set(tags.SpecificCharacterSet, 'CS', 'ISO_IR 100')
    .set(tags.ImageType, 'CS', 'DERIVED', 'PRIMARY')
    .set(tags.PatientName, 'PN', 'Müller^Jürgen=王^小東')
    .set(tags.PatientSex, 'CS')
    .set(tags.PixelPaddingValue, 'SS', -2000)
    .set(tags.DimensionIndexPointer, 'AT', 0x0062000b)
    .set(tags.ImagePositionPatient, 'DS', '-177.95632934570', 1 / 3, -0)
    .set(0x00720083, 'UV', 2n ** 63n)
    .set(0x00720082, 'SV', -5n)
    .set(0x0018605a, 'FD', Math.PI)
    .set(0x00091001, 'UN', Uint8Array.of(1, 2, 3, 4))
    .set(0x00090010, 'LO', 'ACME')
    .set(
      tags.DerivationCodeSequence,
      'SQ',
      new DicomDataset()
        .set(tags.SpecificCharacterSet, 'CS', 'ISO_IR 100')
        .set(tags.CodeMeaning, 'LO', 'Größe')
        .set(tags.SourceImageSequence, 'SQ', new DicomDataset().set(tags.ReferencedFrameNumber, 'IS', '3')),
      new DicomDataset(),
    );

describe('writePart10', () => {
  it('loses nothing: what is read back equals what was written', () => {
    const pixels = Uint8Array.of(1, 2, 3);
    const withSize = sample()
      .set(tags.Rows, 'US', 1)
      .set(tags.Columns, 'US', 3)
      .set(tags.BitsAllocated, 'US', 8)
      .set(tags.SamplesPerPixel, 'US', 1);
    const file = readPart10(writePart10(withSize, { ...options, pixelData: { bytes: pixels, vr: 'OB' } }));
    const { dataset } = file;
    expect(dataset.get(tags.SpecificCharacterSet)?.values).toEqual(['ISO_IR 192']);
    expect(dataset.get(tags.PatientName)?.values).toEqual(['Müller^Jürgen=王^小東']);
    expect(dataset.get(tags.PatientSex)).toEqual({ vr: 'CS', values: [] });
    expect(dataset.get(tags.PixelPaddingValue)).toEqual({ vr: 'SS', values: [-2000] });
    expect(dataset.get(tags.DimensionIndexPointer)).toEqual({ vr: 'AT', values: [0x0062000b] });
    expect(dataset.get(tags.ImagePositionPatient)?.values).toEqual(['-177.95632934570', '0.33333333333333', '0']);
    expect(dataset.get(0x00720083)?.values).toEqual([2n ** 63n]);
    expect(dataset.get(0x00720082)?.values).toEqual([-5n]);
    expect(dataset.get(0x0018605a)?.values).toEqual([Math.PI]);
    expect([...(dataset.bytes(0x00091001) ?? [])]).toEqual([1, 2, 3, 4]);
    const [first, second] = dataset.items(tags.DerivationCodeSequence);
    expect(first?.string(tags.CodeMeaning)).toBe('Größe');
    expect(first?.has(tags.SpecificCharacterSet)).toBe(false);
    expect(first?.items(tags.SourceImageSequence)[0]?.string(tags.ReferencedFrameNumber)).toBe('3');
    expect(second?.size).toBe(0);
    expect([...file.frame(0)]).toEqual([1, 2, 3]);
    expect(file.meta.string(tags.MediaStorageSOPInstanceUID)).toBe('2.25.1');
    expect(file.meta.string(tags.ImplementationClassUID)).toMatch(/^2\.25\./);
  });

  it('is read by dcmjs, too', () => {
    const dcmjs = createRequire(import.meta.url)('dcmjs') as {
      data: {
        DicomMessage: { readFile(buffer: ArrayBuffer): { dict: Record<string, { vr: string; Value: unknown[] }> } };
      };
    };
    const bytes = writePart10(sample(), options);
    const { dict } = dcmjs.data.DicomMessage.readFile(new Uint8Array(bytes).buffer);
    expect(dict['00209165']?.Value).toEqual([0x0062000b]);
    expect(dict['00280120']).toMatchObject({ vr: 'SS', Value: [-2000] });
    // (It decodes text in items as Latin 1, its own objects' too; numbers and structure show that it finds its way.)
    expect(dict['00089215']?.Value[0]).toMatchObject({
      '00082112': { vr: 'SQ', Value: [{ '00081160': { Value: [3] } }] },
    });
  });

  it('refuses values that their VR cannot hold', () => {
    const write = (vr: string, value: string | number | Uint8Array) =>
      writePart10(new DicomDataset().set(0x00181000, vr, value), options);
    expect(() => write('US', '5')).toThrow(/holds no number/);
    expect(() => write('OB', 'text')).toThrow(/something else than bytes/);
    expect(() => write('LO', Uint8Array.of(1))).toThrow(/holds no text/);
    expect(() => write('xs', 1)).toThrow(/cannot be written/);
  });
});

describe('formatDs', () => {
  it.each([
    [0, '0'],
    [-0, '0'],
    [1 / 3, '0.33333333333333'],
    [-1 / 3, '-0.3333333333333'],
    [1e-20 / 3, '3.3333333333e-21'],
    [123456789012345680, '1.2345678901e+17'],
    [-1.5, '-1.5'],
    [0.1 + 0.2, '0.3'],
  ])('writes %s in at most 16 characters', (value, text) => {
    expect(formatDs(value).length).toBeLessThanOrEqual(16);
    expect(Number(formatDs(value))).toBeCloseTo(Number(text), 12);
    expect(Math.abs(Number(formatDs(value)) - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-9);
  });

  it('refuses what is no number', () => {
    expect(() => formatDs(Number.NaN)).toThrow();
  });
});
