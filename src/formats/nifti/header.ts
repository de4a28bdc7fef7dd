import { type NIFTI1, type NIFTI2, readHeader } from 'nifti-reader-js';
import { EndpointError } from '../../errors.ts';
import type { Affine } from '../../imaging/affine.ts';
import type { Shape3 } from '../../imaging/volume.ts';

/** What of a NIfTI-1 or NIfTI-2 header a scalar volume needs. */
export interface NiftiHeader {
  readonly shape: Shape3;
  readonly affineRas: Affine;
  readonly datatypeCode: number;
  readonly bytesPerVoxel: number;
  readonly dataOffset: number;
  readonly littleEndian: boolean;
  readonly slope: number;
  readonly intercept: number;
}

/** Bytes that hold any header: NIfTI-2's 540 and the extension flag. */
export const HEADER_BYTES = 544;

const refuse = (message: string): EndpointError => new EndpointError('unprocessable_image', message);

/** Bytes of a voxel by datatype code (nifti1.h): scalars only. */
const voxelBytes: Readonly<Record<number, number>> = {
  2: 1,
  4: 2,
  8: 4,
  16: 4,
  64: 8,
  256: 1,
  512: 2,
  768: 4,
  1024: 8,
  1280: 8,
};

function shapeOf(dims: readonly number[]): Shape3 {
  const rank = dims[0] as number;
  const sizes = dims.slice(1, 1 + rank);
  if (rank < 2 || rank > 7 || sizes.some((size) => !Number.isInteger(size) || size < 1)) {
    throw refuse(`The NIfTI header has no usable dimensions (${sizes.join('×')}).`);
  }
  if (sizes.slice(3).some((size) => size > 1)) {
    throw refuse(`The NIfTI image is ${sizes.join('×')}: only one 3D volume is taken, not a series or vectors.`);
  }
  return [sizes[0] as number, sizes[1] as number, sizes[2] ?? 1];
}

/** Rows of the sform (NIfTI-1: floats at 280, NIfTI-2: doubles at 400); nifti-reader-js keeps them only at times. */
function sformOf(view: DataView, isNifti2: boolean, littleEndian: boolean): Affine {
  const rows = Array.from({ length: 12 }, (_, at) =>
    isNifti2 ? view.getFloat64(400 + at * 8, littleEndian) : view.getFloat32(280 + at * 4, littleEndian),
  );
  return [...rows, 0, 0, 0, 1] as unknown as Affine;
}

/** The qform (nifti1.h, "METHOD 2"): rotation by quaternion, voxel sizes, offset; qfac turns the third axis round. */
function qformOf(header: NIFTI1 | NIFTI2): Affine {
  const { quatern_b: b, quatern_c: c, quatern_d: d, pixDims } = header;
  const a = Math.sqrt(Math.max(0, 1 - (b * b + c * c + d * d)));
  const dx = pixDims[1] as number;
  const dy = pixDims[2] as number;
  const dz = (pixDims[3] as number) * ((pixDims[0] as number) < 0 ? -1 : 1);
  return [
    (a * a + b * b - c * c - d * d) * dx,
    2 * (b * c - a * d) * dy,
    2 * (b * d + a * c) * dz,
    header.qoffset_x,
    2 * (b * c + a * d) * dx,
    (a * a + c * c - b * b - d * d) * dy,
    2 * (c * d - a * b) * dz,
    header.qoffset_y,
    2 * (b * d - a * c) * dx,
    2 * (c * d + a * b) * dy,
    (a * a + d * d - b * b - c * c) * dz,
    header.qoffset_z,
    0,
    0,
    0,
    1,
  ];
}

/** nibabel's choice where the header has neither form: centred on the grid, x flipped. */
function baseAffine(pixDims: readonly number[], shape: Shape3): Affine {
  const steps = [-(pixDims[1] as number), pixDims[2] as number, pixDims[3] as number] as const;
  const [x, y, z] = steps.map((step, axis) => -(((shape[axis] as number) - 1) / 2) * step) as [number, number, number];
  return [steps[0], 0, 0, x, 0, steps[1], 0, y, 0, 0, steps[2], z, 0, 0, 0, 1];
}

/** Precedence as in nibabel (and so MONAI): sform, then qform, then a centred default. */
function affineOf(header: NIFTI1 | NIFTI2, view: DataView, isNifti2: boolean, shape: Shape3): Affine {
  if (header.sform_code > 0) return sformOf(view, isNifti2, header.littleEndian);
  if (header.qform_code > 0) return qformOf(header);
  return baseAffine(header.pixDims, shape);
}

function determinant(m: Affine): number {
  return m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) + m[2] * (m[4] * m[9] - m[5] * m[8]);
}

/**
 * Reads the header of a single-file NIfTI image (`n+1`, `n+2`).
 *
 * @param bytes - the inflated file, or its first {@link HEADER_BYTES}
 * @throws EndpointError `unprocessable_image`: no header, a pair of files, several volumes, colours or complex
 *   numbers, a unit other than millimetres, a transform that cannot be inverted
 */
export function readNiftiHeader(bytes: Uint8Array): NiftiHeader {
  const copy = new Uint8Array(bytes.subarray(0, HEADER_BYTES)).buffer;
  let header: NIFTI1 | NIFTI2;
  try {
    header = readHeader(copy);
  } catch (cause) {
    throw new EndpointError('unprocessable_image', 'The file is no single-file NIfTI image.', { cause });
  }
  if (!header) throw refuse('The file is no single-file NIfTI image.');
  const view = new DataView(copy);
  const isNifti2 = view.getInt32(0, header.littleEndian) === 540;
  const shape = shapeOf(header.dims);
  const bytesPerVoxel = voxelBytes[header.datatypeCode];
  if (bytesPerVoxel === undefined || header.numBitsPerVoxel !== bytesPerVoxel * 8) {
    throw refuse(`NIfTI images of datatype ${header.datatypeCode} are not taken: only integers and real numbers are.`);
  }
  const unit = header.xyzt_units & 7;
  if (unit === 1 || unit === 3)
    throw refuse('The NIfTI image measures in metres or micrometres: save it in millimetres.');
  const affineRas = affineOf(header, view, isNifti2, shape);
  if (!affineRas.every(Number.isFinite) || Math.abs(determinant(affineRas)) < 1e-12) {
    throw refuse('The NIfTI header has no usable transform (sform or qform).');
  }
  const dataOffset = Math.max(header.vox_offset, isNifti2 ? 540 : 348);
  if (!Number.isSafeInteger(dataOffset)) throw refuse('The NIfTI header has no usable vox_offset.');
  // A slope of 0 (or none at all) means unscaled.
  const isScaled = Number.isFinite(header.scl_slope) && header.scl_slope !== 0 && Number.isFinite(header.scl_inter);
  return {
    shape,
    affineRas,
    datatypeCode: header.datatypeCode,
    bytesPerVoxel,
    dataOffset,
    littleEndian: header.littleEndian,
    slope: isScaled ? header.scl_slope : 1,
    intercept: isScaled ? header.scl_inter : 0,
  };
}
