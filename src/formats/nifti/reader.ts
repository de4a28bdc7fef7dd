import { constants, gunzipSync } from 'node:zlib';
import { EndpointError } from '../../errors.ts';
import { type Volume, type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import { HEADER_BYTES, type NiftiHeader, readNiftiHeader } from './header.ts';

export interface ReadNiftiOptions {
  /** Refuse images whose voxels take more than this. Default 4 GiB. */
  readonly maxBytes?: number;
}

/** Compressed bytes that surely hold the header, yet cannot inflate to much (gzip reaches 1 to 1,032). */
const GZIP_HEAD_BYTES = 65_536;
/** Room for extensions behind the header and for padding behind the voxels. */
const SLACK_BYTES = 16 * 1024 * 1024;

const refuse = (message: string, cause?: unknown): EndpointError =>
  new EndpointError('unprocessable_image', message, cause === undefined ? {} : { cause });

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

function inflateHead(bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes.subarray(0, GZIP_HEAD_BYTES), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (cause) {
    throw refuse('The gzip stream of the NIfTI image is damaged.', cause);
  }
}

function inflate(bytes: Uint8Array, maxOutputLength: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength });
  } catch (cause) {
    const isTooLong = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw refuse(
      isTooLong
        ? 'The gzip stream of the NIfTI image inflates to more than its header tells.'
        : 'The gzip stream of the NIfTI image is damaged or cut short.',
      cause,
    );
  }
}

/** Reads voxels of any endianness and alignment. 64-bit integers become 32-bit ones where they fit, else doubles. */
function rawVoxels(bytes: Uint8Array, header: NiftiHeader, count: number): VoxelArray {
  const { datatypeCode, bytesPerVoxel, littleEndian } = header;
  // A copy, by its own: `slice` of a Buffer would be a view.
  const own = new Uint8Array(bytes.subarray(header.dataOffset, header.dataOffset + count * bytesPerVoxel));
  if (!littleEndian) {
    const buffer = Buffer.from(own.buffer);
    if (bytesPerVoxel === 2) buffer.swap16();
    if (bytesPerVoxel === 4) buffer.swap32();
    if (bytesPerVoxel === 8) buffer.swap64();
  }
  switch (datatypeCode) {
    case 2:
      return own;
    case 256:
      return new Int8Array(own.buffer);
    case 4:
      return new Int16Array(own.buffer);
    case 512:
      return new Uint16Array(own.buffer);
    case 8:
      return new Int32Array(own.buffer);
    case 768:
      return new Uint32Array(own.buffer);
    case 16:
      return new Float32Array(own.buffer);
    case 64:
      return new Float64Array(own.buffer);
    default: {
      const wide = datatypeCode === 1024 ? new BigInt64Array(own.buffer) : new BigUint64Array(own.buffer);
      const fits = wide.every((value) => value >= -2147483648n && value <= 2147483647n);
      return fits ? Int32Array.from(wide, Number) : Float64Array.from(wide, Number);
    }
  }
}

/**
 * Reads a NIfTI-1 or NIfTI-2 image (`.nii`, `.nii.gz`) as a volume. Scaled images (`scl_slope`) come as float32, the
 * others in their own type. A gzip bomb is bounded by what the header inside it declares.
 *
 * @throws EndpointError `unprocessable_image`
 */
export function readNifti(bytes: Uint8Array, options: ReadNiftiOptions = {}): Volume {
  const maxBytes = options.maxBytes ?? 4 * 1024 ** 3;
  const head = isGzip(bytes) ? inflateHead(bytes) : bytes;
  const header = readNiftiHeader(head.subarray(0, HEADER_BYTES));
  const count = voxelCount(header.shape);
  const end = header.dataOffset + count * header.bytesPerVoxel;
  if (!Number.isSafeInteger(end) || count * header.bytesPerVoxel > maxBytes || header.dataOffset > SLACK_BYTES) {
    throw refuse(`The NIfTI image of ${header.shape.join('×')} voxels is larger than ${maxBytes} bytes.`);
  }
  const file = isGzip(bytes) ? inflate(bytes, end + SLACK_BYTES) : bytes;
  if (file.length < end) throw refuse(`The NIfTI image has ${file.length} bytes, its header declares ${end}.`);
  const raw = rawVoxels(file, header, count);
  const { slope, intercept, shape, affineRas } = header;
  if (slope === 1 && intercept === 0) return { data: raw, shape, affineRas };
  const data = new Float32Array(count);
  for (let at = 0; at < count; at++) data[at] = (raw[at] as number) * slope + intercept;
  return { data, shape, affineRas };
}
