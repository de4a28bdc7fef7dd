import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { EndpointError } from '../../errors.ts';
import { spacingMm } from '../../imaging/affine.ts';
import { type Volume, type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import { qformOfAffine } from './quaternion.ts';

const compress = promisify(gzip);

const DATA_OFFSET = 352;
const UNIT_MM = 2;
/** nifti1.h: the transform leads to scanner coordinates. */
const SCANNER_ANATOMICAL = 1;

/** Datatype code of nifti1.h for the type of the voxels. */
function datatypeOf(data: VoxelArray): number {
  if (data instanceof Uint8Array) return 2;
  if (data instanceof Int16Array) return 4;
  if (data instanceof Int32Array) return 8;
  if (data instanceof Float32Array) return 16;
  if (data instanceof Float64Array) return 64;
  if (data instanceof Int8Array) return 256;
  return data instanceof Uint16Array ? 512 : 768;
}

function headerOf({ data, shape, affineRas }: Volume): Buffer {
  const header = Buffer.alloc(DATA_OFFSET);
  header.writeInt32LE(348, 0);
  [3, ...shape, 1, 1, 1, 1].forEach((size, at) => {
    header.writeInt16LE(size, 40 + at * 2);
  });
  header.writeInt16LE(datatypeOf(data), 70);
  header.writeInt16LE(data.BYTES_PER_ELEMENT * 8, 72);
  const qform = qformOfAffine(affineRas);
  [qform?.qfac ?? 1, ...spacingMm(affineRas), 0, 0, 0, 0].forEach((size, at) => {
    header.writeFloatLE(size, 76 + at * 4);
  });
  header.writeFloatLE(DATA_OFFSET, 108);
  header.writeFloatLE(1, 112); // scl_slope
  header.writeUInt8(UNIT_MM, 123);
  header.writeInt16LE(qform ? SCANNER_ANATOMICAL : 0, 252);
  header.writeInt16LE(SCANNER_ANATOMICAL, 254);
  const quaternion = qform ? [qform.b, qform.c, qform.d] : [0, 0, 0];
  quaternion.forEach((part, at) => {
    header.writeFloatLE(part, 256 + at * 4);
  });
  [affineRas[3], affineRas[7], affineRas[11]].forEach((offset, at) => {
    header.writeFloatLE(offset, 268 + at * 4);
  });
  affineRas.slice(0, 12).forEach((value, at) => {
    header.writeFloatLE(value, 280 + at * 4);
  });
  header.write('n+1\0', 344, 'latin1');
  return header;
}

/**
 * Writes a volume as `.nii.gz` (NIfTI-1, little-endian) in the type of its voxels, with sform and qform (the latter
 * where the axes are at right angles), in millimetres. The same volume always gives the same bytes.
 *
 * @throws EndpointError `internal` when the data do not fill the shape or an axis is longer than NIfTI-1 can say
 */
export async function writeNifti(volume: Volume): Promise<Uint8Array> {
  const { data, shape } = volume;
  if (data.length !== voxelCount(shape) || shape.some((size) => size < 1 || size > 32_767)) {
    throw new EndpointError('internal', `A volume of ${shape.join('×')} with ${data.length} voxels is no NIfTI image.`);
  }
  const voxels = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return compress(Buffer.concat([headerOf(volume), voxels]), { level: 4 });
}
