import { describe, expect, it } from 'vitest';
import { DicomDataset } from '../../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../../src/formats/dicom/dictionary.ts';
import { imagePixelFormat } from '../../../../src/formats/dicom/image-pixel.ts';
import { readPart10 } from '../../../../src/formats/dicom/part10-reader.ts';
import { writePart10 } from '../../../../src/formats/dicom/part10-writer.ts';
import { encapsulate, joinFrames } from '../../../../src/formats/dicom/pixel-data.ts';

const image = (rows: number, columns: number, bitsAllocated: number, frames: number) =>
  new DicomDataset()
    .set(tags.SamplesPerPixel, 'US', 1)
    .set(tags.PhotometricInterpretation, 'CS', 'MONOCHROME2')
    .set(tags.NumberOfFrames, 'IS', String(frames))
    .set(tags.Rows, 'US', rows)
    .set(tags.Columns, 'US', columns)
    .set(tags.BitsAllocated, 'US', bitsAllocated)
    .set(tags.BitsStored, 'US', bitsAllocated)
    .set(tags.PixelRepresentation, 'US', 0);
const uids = { sopClassUid: '1.2.840.10008.5.1.4.1.1.7', sopInstanceUid: '1.2.3' };
const framesOf = (bytes: Uint8Array) => {
  const file = readPart10(bytes);
  return Array.from({ length: file.numberOfFrames }, (_, index) => [...file.frame(index)]);
};

describe('pixel data', () => {
  it.each([
    [3, 5, 1, 4],
    [8, 2, 1, 3],
    [2, 3, 8, 3],
    [2, 3, 16, 2],
  ])('joins frames of %i × %i pixels of %i bits so that they are read again', (rows, columns, bits, count) => {
    const dataset = image(rows, columns, bits, count);
    const frameBits = rows * columns * bits;
    const frames = Array.from({ length: count }, (_, frame) => {
      const bytes = Uint8Array.from({ length: Math.ceil(frameBits / 8) }, (_v, at) => (at * 91 + frame * 57 + 3) % 256);
      const tail = frameBits % 8;
      if (tail > 0) bytes[bytes.length - 1] = (bytes.at(-1) as number) & ((1 << tail) - 1);
      return bytes;
    });
    const pixelData = joinFrames(frames, imagePixelFormat(dataset));
    expect(pixelData.vr).toBe(bits > 8 ? 'OW' : 'OB');
    const file = writePart10(dataset, { ...uids, transferSyntaxUid: '1.2.840.10008.1.2.1', pixelData });
    expect(framesOf(file)).toEqual(frames.map((frame) => [...frame]));
  });

  it('encapsulates frames of any length behind an offset table', () => {
    const dataset = image(2, 2, 8, 3);
    const frames = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5), Uint8Array.of(6)];
    const pixelData = encapsulate(frames);
    const file = writePart10(dataset, { ...uids, transferSyntaxUid: '1.2.840.10008.1.2.4.202', pixelData });
    expect(framesOf(file)).toEqual([
      [1, 2, 3, 0],
      [4, 5],
      [6, 0],
    ]);
  });

  it('writes what follows the pixels behind them', () => {
    const dataset = image(1, 2, 8, 1).set(0x7fe10010, 'LO', 'CREATOR').set(0xfffcfffc, 'OB', Uint8Array.of(0, 0));
    const pixelData = { bytes: Uint8Array.of(7, 9), vr: 'OB' as const };
    const file = readPart10(writePart10(dataset, { ...uids, transferSyntaxUid: '1.2.840.10008.1.2.1', pixelData }));
    expect([...file.frame(0)]).toEqual([7, 9]);
    expect(file.dataset.string(0x7fe10010)).toBe('CREATOR');
  });
});

describe('the character set of a written object', () => {
  const written = (name: string, keepAsciiCharacterSet: boolean) => {
    const dataset = new DicomDataset()
      .set(tags.SpecificCharacterSet, 'CS', 'ISO_IR 100')
      .set(tags.PatientName, 'PN', name);
    const options = { ...uids, transferSyntaxUid: '1.2.840.10008.1.2.1', keepAsciiCharacterSet };
    const read = readPart10(writePart10(dataset, options)).dataset;
    return [read.string(tags.SpecificCharacterSet), read.string(tags.PatientName)];
  };

  it('stays for ASCII, and is UTF-8 for anything else', () => {
    expect(written('Doe^Jane', true)).toEqual(['ISO_IR 100', 'Doe^Jane']);
    expect(written('Müller^Jürgen', true)).toEqual(['ISO_IR 192', 'Müller^Jürgen']);
    expect(written('Doe^Jane', false)).toEqual(['ISO_IR 192', 'Doe^Jane']);
  });
});

it('writes a value that is too long for its VR as UN, as PS3.5 says', () => {
  const many = Array.from({ length: 20_000 }, (_, at) => String(at));
  const dataset = new DicomDataset().set(0x30060050, 'DS', ...many).set(0x30060084, 'IS', '1');
  const read = readPart10(writePart10(dataset, { ...uids, transferSyntaxUid: '1.2.840.10008.1.2.1' })).dataset;
  expect(read.get(0x30060050)?.vr).toBe('UN');
  expect(
    Buffer.from(read.bytes(0x30060050) as Uint8Array)
      .toString('latin1')
      .trimEnd(),
  ).toBe(many.join('\\'));
  expect(read.string(0x30060084)).toBe('1');
});
