import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../../src/errors.ts';
import { isPart10, readPart10 } from '../../../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../../../src/formats/dicom/tags.ts';
import { transferSyntax } from '../../../../src/formats/dicom/transfer-syntax.ts';
import { element, imagePixel, item, part10, sequenceEnd, us } from '../../../support/dicom-bytes.ts';

const { explicitLittleEndian, implicitLittleEndian, explicitBigEndian, deflated } = transferSyntax;

const rejects = (bytes: Uint8Array, message: RegExp) => {
  expect(() => readPart10(bytes)).toThrow(EndpointError);
  expect(() => readPart10(bytes)).toThrow(message);
};

describe('readPart10', () => {
  it('reads text, numbers, bytes, private elements and sequences', () => {
    const inner = Buffer.concat([
      element(0x00080100, 'SH', '113076'),
      element(0x00091001, 'UN', Uint8Array.of(1, 2, 3, 4)),
    ]);
    const file = readPart10(
      part10(
        explicitLittleEndian,
        element(0x00080005, 'CS', 'ISO_IR 192'),
        element(0x00080008, 'CS', 'ORIGINAL\\PRIMARY'),
        element(0x00089215, 'SQ', Buffer.concat([item(inner), item(inner, { delimited: true })])),
        element(0x00090010, 'LO', 'ACME'),
        element(0x00091001, 'UN', Uint8Array.of(9, 8)),
        element(0x00100010, 'PN', Buffer.from('Müller^Jürgen', 'utf8')),
        element(0x00200032, 'DS', '-1.50 \\2\\3 '),
        us(0x00280010, 512),
        element(0x00720083, 'UV', Buffer.from('ffffffffffffff7f', 'hex')),
      ),
    );
    const { dataset } = file;
    expect(file.transferSyntaxUid).toBe(explicitLittleEndian);
    expect(file.numberOfFrames).toBe(0);
    expect(file.meta.string(tags.MediaStorageSOPClassUID)).toBe('1.2.840.10008.5.1.4.1.1.2');
    expect(dataset.get(tags.ImageType)?.values).toEqual(['ORIGINAL', 'PRIMARY']);
    expect(dataset.string(tags.PatientName)).toBe('Müller^Jürgen');
    expect(dataset.get(tags.ImagePositionPatient)?.values).toEqual(['-1.50', '2', '3']);
    expect(dataset.get(tags.Rows)?.values).toEqual([512]);
    expect(dataset.bytes(0x00091001)).toEqual(Buffer.from([9, 8]));
    expect(dataset.get(0x00720083)?.values).toEqual([0x7fffffffffffffffn]);
    const items = dataset.items(tags.DerivationCodeSequence);
    expect(items.map((each) => [each.string(tags.CodeValue), each.bytes(0x00091001)?.length])).toEqual([
      ['113076', 4],
      ['113076', 4],
    ]);
  });

  it('keeps the trailing blanks of DS and IS when asked to', () => {
    const bytes = part10(
      explicitLittleEndian,
      element(0x00281052, 'DS', '-1000 '),
      element(0x00280030, 'DS', '0.25\\0.25 '),
    );
    expect(readPart10(bytes).dataset.get(tags.RescaleIntercept)?.values).toEqual(['-1000']);
    const kept = readPart10(bytes, { keepPadding: true }).dataset;
    expect(kept.get(tags.RescaleIntercept)?.values).toEqual(['-1000 ']);
    expect(kept.get(tags.PixelSpacing)?.values).toEqual(['0.25', '0.25 ']);
  });

  it('reads implicit VR by the dictionary, signed where PixelRepresentation says so', () => {
    const implicit = { explicit: false };
    const { dataset } = readPart10(
      part10(
        implicitLittleEndian,
        element(0x00100010, 'PN', 'A^B', implicit),
        us(0x00280103, 1, implicit),
        us(0x00280120, 0xf830, implicit),
        element(0x00290010, 'LO', 'ACME', implicit),
        element(0x00291001, 'UN', 'ab', implicit),
      ),
    );
    expect(dataset.get(tags.PixelPaddingValue)).toEqual({ vr: 'SS', values: [-2000] });
    expect(dataset.get(0x00290010)).toEqual({ vr: 'LO', values: ['ACME'] });
    expect(dataset.get(0x00291001)?.vr).toBe('UN');
  });

  it('reads big-endian and deflated objects into the same data set', () => {
    const big = { littleEndian: false };
    const swapped = readPart10(
      part10(explicitBigEndian, us(0x00280010, 512, big), element(0x00281201, 'OW', '0123', big)),
    );
    expect(swapped.dataset.number(tags.Rows)).toBe(512);
    expect(Buffer.from(swapped.dataset.bytes(0x00281201) as Uint8Array).toString()).toBe('1032');
    const packed = readPart10(part10(deflated, deflateRawSync(us(0x00280010, 77))));
    expect(packed.dataset.number(tags.Rows)).toBe(77);
  });

  it('reads an undefined-length UN as an implicit sequence, and implicit data under an explicit syntax', () => {
    const implicit = element(0x00080100, 'SH', 'CODE', { explicit: false });
    const unknown = element(0x00089999, 'UN', Buffer.concat([item(implicit), sequenceEnd]), { length: 0xffffffff });
    expect(readPart10(part10(explicitLittleEndian, unknown)).dataset.items(0x00089999)[0]?.string(tags.CodeValue)).toBe(
      'CODE',
    );
    const wrong = part10(explicitLittleEndian, element(0x00100020, 'LO', 'ID', { explicit: false }));
    expect(readPart10(wrong).dataset.string(tags.PatientID)).toBe('ID');
  });

  it('takes files without preamble, without meta group, and tells DICOM from other files', () => {
    const body = Buffer.concat([element(0x00080008, 'CS', 'ORIGINAL'), element(0x00100020, 'LO', 'ID')]);
    const bare = readPart10(body);
    expect([bare.transferSyntaxUid, bare.dataset.string(tags.PatientID)]).toEqual([explicitLittleEndian, 'ID']);
    expect(isPart10(body)).toBe(true);
    expect(isPart10(part10(explicitLittleEndian))).toBe(true);
    expect(isPart10(Buffer.from('%PDF-1.7 some text that is long enough'))).toBe(false);
    expect(isPart10(Buffer.alloc(0))).toBe(false);
    rejects(Buffer.from('%PDF-1.7 some text that is long enough'), /no DICOM object/);
  });

  it('refuses every cut of an object: never half a data set', () => {
    const whole = part10(
      explicitLittleEndian,
      element(0x00080008, 'CS', 'ORIGINAL'),
      element(
        0x00089215,
        'SQ',
        Buffer.concat([item(element(0x00080100, 'SH', 'AB'), { delimited: true }), sequenceEnd]),
        {
          length: 0xffffffff,
        },
      ),
      imagePixel(2, 2, 8),
      element(0x7fe00010, 'OB', Uint8Array.of(1, 2, 3, 4)),
    );
    const read = readPart10(whole);
    expect([...read.frame(0)]).toEqual([1, 2, 3, 4]);
    for (let length = 0; length < whole.length; length++) {
      try {
        // A cut between two elements leaves a shorter, whole data set: its pixel data are missing, which shows.
        expect(readPart10(whole.subarray(0, length)).numberOfFrames).toBe(0);
      } catch (thrown) {
        expect((thrown as EndpointError).code).toBe('unprocessable_image');
      }
    }
  });

  it('refuses lengths beyond the file, endless nesting and nonsense', () => {
    rejects(
      part10(explicitLittleEndian, element(0x00281201, 'OW', 'ab', { length: 0xfffffff0 })),
      /claims 4294967280 bytes/,
    );
    let nested = element(0x00080100, 'SH', 'X');
    for (let depth = 0; depth < 80; depth++) nested = element(0x00089215, 'SQ', item(nested));
    rejects(part10(explicitLittleEndian, nested), /nests sequences deeper/);
    const random = Buffer.from(Array.from({ length: 999 }, (_, at) => (at * 7919) % 251));
    rejects(part10(explicitLittleEndian, random), /.+/);
    rejects(part10(deflated, Buffer.from('not deflated')), /deflated/);
  });

  it('never repeats patient data in its messages', () => {
    const cut = part10(
      explicitLittleEndian,
      element(0x00100010, 'PN', 'SECRET^NAME'),
      element(0x00281201, 'OW', 'ab', { length: 999 }),
    );
    expect(() => readPart10(cut)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('SECRET') }));
  });
});
