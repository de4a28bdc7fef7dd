import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readNifti } from '../../../../src/formats/nifti/reader.ts';
import { writeNifti } from '../../../../src/formats/nifti/writer.ts';
import type { Affine } from '../../../../src/imaging/affine.ts';
import type { VoxelArray } from '../../../../src/imaging/volume.ts';

const [cos, sin] = [Math.cos(0.25), Math.sin(0.25)];
const oblique: Affine = [-2 * cos, -sin, 0, 10, 2 * sin, -cos, 0, -20, 0, 0, -3, 5, 0, 0, 0, 1];
const shape = [2, 3, 4] as const;
const values = Array.from({ length: 24 }, (_, at) => at * 3);

const inflated = async (data: VoxelArray, affineRas = oblique): Promise<Buffer> =>
  gunzipSync(await writeNifti({ data, shape, affineRas }));

const refused = (bytes: Uint8Array, message: RegExp) =>
  expect(() => readNifti(bytes)).toThrow(
    expect.objectContaining({ code: 'unprocessable_image', message: expect.stringMatching(message) }),
  );

describe('NIfTI', () => {
  it.each([Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array])(
    'comes back as it was written: %s',
    async (Type) => {
      const data = Type.from(values) as VoxelArray;
      const read = readNifti(await writeNifti({ data, shape, affineRas: oblique }));
      expect(read.data).toEqual(data);
      expect(read.shape).toEqual([2, 3, 4]);
      read.affineRas.forEach((value, at) => {
        expect(value).toBeCloseTo(oblique[at] as number, 5);
      });
    },
  );

  it('prefers the sform, then the qform, then a centred grid', async () => {
    const file = await inflated(Uint8Array.from(values));
    file.writeFloatLE(99, 280 + 12); // x offset of the sform
    expect(readNifti(file).affineRas[3]).toBe(99);
    file.writeInt16LE(0, 254); // no sform
    readNifti(file).affineRas.forEach((value, at) => {
      expect(value).toBeCloseTo(oblique[at] as number, 5);
    });
    file.writeInt16LE(0, 252); // no qform either
    expect(readNifti(file).affineRas).toEqual([-2, 0, 0, 1, 0, 1, 0, -1, 0, 0, 3, -4.5, 0, 0, 0, 1]);
  });

  it('leaves the qform out for sheared axes, and keeps half-turns', async () => {
    const sheared: Affine = [1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    expect((await inflated(Uint8Array.from(values), sheared)).readInt16LE(252)).toBe(0);
    for (const [x, y, z] of [
      [-1, -1, 1],
      [-1, 1, -1],
      [1, -1, -1],
      [-1, 1, 1],
    ] as const) {
      const turned: Affine = [x, 0, 0, 0, 0, y, 0, 0, 0, 0, z, 0, 0, 0, 0, 1];
      const file = await inflated(Uint8Array.from(values), turned);
      file.writeInt16LE(0, 254);
      expect(readNifti(file).affineRas.map((value) => value + 0)).toEqual(turned);
    }
  });

  it('scales by scl_slope and reads big-endian files', async () => {
    const file = await inflated(Int16Array.from(values));
    file.writeFloatLE(0.5, 112);
    file.writeFloatLE(-1, 116);
    expect([...readNifti(file).data]).toEqual(values.map((value) => value * 0.5 - 1));
    const big = Buffer.from(await inflated(Int16Array.from(values)));
    const swap = (size: 2 | 4, from: number, to: number) => {
      for (let at = from; at < to; at += size) big.subarray(at, at + size).reverse();
    };
    swap(4, 0, 4);
    swap(2, 40, 56);
    swap(2, 70, 74);
    swap(4, 76, 120);
    swap(2, 252, 256);
    swap(4, 256, 328);
    swap(2, 352, big.length);
    expect(readNifti(big).data).toEqual(Int16Array.from(values));
  });

  it('reads 64-bit labels', async () => {
    const file = Buffer.concat([(await inflated(Uint8Array.from(values))).subarray(0, 352), Buffer.alloc(24 * 8)]);
    file.writeInt16LE(1024, 70);
    file.writeInt16LE(64, 72);
    values.forEach((value, at) => {
      file.writeBigInt64LE(BigInt(value), 352 + at * 8);
    });
    expect(readNifti(file).data).toEqual(Int32Array.from(values));
  });

  it('refuses series of volumes, colours, other units, and what is no NIfTI', async () => {
    const changed = async (change: (file: Buffer) => void) => {
      const file = await inflated(Uint8Array.from(values));
      change(file);
      return file;
    };
    const series = await changed((file) => {
      file.writeInt16LE(4, 40);
      file.writeInt16LE(2, 48);
    });
    refused(series, /only one 3D volume/);
    refused(await changed((file) => file.writeInt16LE(128, 70)), /datatype 128/);
    refused(await changed((file) => file.writeUInt8(1, 123)), /metres/);
    refused(await changed((file) => file.fill(0, 280, 328)), /no usable transform/);
    refused(await changed((file) => file.write('ni1\0', 344, 'latin1')), /no single-file NIfTI/);
    refused(await changed((file) => file.writeInt16LE(-3, 42)), /no usable dimensions/);
    refused(Buffer.from('no nifti at all'), /no single-file NIfTI/);
  });

  it('refuses cut files, bombs, and damaged gzip streams', async () => {
    const packed = await writeNifti({ data: Uint8Array.from(values), shape, affineRas: oblique });
    refused(packed.subarray(0, -10), /damaged or cut/);
    refused((await inflated(Uint8Array.from(values))).subarray(0, 360), /has 360 bytes, its header declares 376/);
    const file = await inflated(Uint8Array.from(values));
    refused(gzipSync(Buffer.concat([file, Buffer.alloc(40_000_000)])), /inflates to more/);
    file.writeInt16LE(32_000, 42);
    file.writeInt16LE(32_000, 44);
    file.writeInt16LE(32_000, 46);
    refused(file, /larger than/);
  });
});
