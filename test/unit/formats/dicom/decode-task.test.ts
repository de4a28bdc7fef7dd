import { describe, expect, it } from 'vitest';
import { type DecodeIntoVolumeInput, decodeIntoVolume } from '../../../../src/formats/dicom/decode-task.ts';
import { transferSyntax } from '../../../../src/formats/dicom/transfer-syntax.ts';

const slice = (
  values: number[],
  rest: Partial<DecodeIntoVolumeInput> = {},
  frame: object = {},
): DecodeIntoVolumeInput => ({
  frame: {
    bytes: new Uint8Array(Int16Array.from(values).buffer),
    transferSyntaxUid: transferSyntax.explicitLittleEndian,
    rows: 1,
    columns: values.length,
    samplesPerPixel: 1,
    bitsAllocated: 16,
    bitsStored: 16,
    pixelRepresentation: 1,
    photometricInterpretation: 'MONOCHROME2',
    planarConfiguration: 0,
    ...frame,
  },
  volume: new SharedArrayBuffer(64),
  byteOffset: 0,
  elementType: 'int16',
  slope: 1,
  intercept: 0,
  ...rest,
});

describe('decodeIntoVolume', () => {
  it('writes rescaled values at its place of the shared volume and nowhere else', async () => {
    const volume = new SharedArrayBuffer(12);
    await decodeIntoVolume(slice([0, 100], { volume, byteOffset: 4, intercept: -1024 }));
    expect([...new Int16Array(volume)]).toEqual([0, 0, -1024, -924, 0, 0]);
    const floats = new SharedArrayBuffer(8);
    await decodeIntoVolume(slice([3, -4], { volume: floats, elementType: 'float32', slope: 0.1, intercept: 0.5 }));
    expect([...new Float32Array(floats)]).toEqual([Math.fround(3 * 0.1 + 0.5), Math.fround(-4 * 0.1 + 0.5)]);
  });

  it('drops what lies above BitsStored, and extends the sign from there', async () => {
    const volume = new SharedArrayBuffer(4);
    await decodeIntoVolume(
      slice([0xf123 - 0x10000, 0x0fff], { volume, elementType: 'uint16' }, { bitsStored: 12, pixelRepresentation: 0 }),
    );
    expect([...new Uint16Array(volume)]).toEqual([0x123, 0xfff]);
    await decodeIntoVolume(slice([0x0fff, 0x07ff], { volume }, { bitsStored: 12 }));
    expect([...new Int16Array(volume)]).toEqual([-1, 2047]);
  });

  it('refuses values that the element type cannot hold, and colour', async () => {
    await expect(decodeIntoVolume(slice([32767, 0], { intercept: 1 }))).rejects.toThrow(/do not fit in int16/);
    await expect(decodeIntoVolume(slice([1, 2], { slope: 0.5 }))).rejects.toThrow(/do not fit in int16/);
    await expect(decodeIntoVolume(slice([1], { elementType: 'uint16', intercept: -2 }))).rejects.toThrow(/in uint16/);
    await expect(decodeIntoVolume(slice([1, 2], {}, { samplesPerPixel: 3 }))).rejects.toThrow(/Colour/);
  });

  it('takes frames at any offset of a file buffer', async () => {
    const volume = new SharedArrayBuffer(4);
    const file = Buffer.concat([Buffer.from([9]), Buffer.from(Int16Array.from([-7, 7]).buffer)]);
    await decodeIntoVolume(slice([0, 0], { volume }, { bytes: file.subarray(1) }));
    expect([...new Int16Array(volume)]).toEqual([-7, 7]);
  });
});
