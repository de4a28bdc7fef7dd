import type { Affine } from '../../imaging/affine.ts';
import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import { insideEdge, roundHalfToEven, type SampleModes } from './axis-samples.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

export interface ObliqueInput extends Slab {
  readonly source: StridedImage<VoxelArray>;
  readonly target: StridedImage<KernelArray>;
  /** Output voxel indices → input voxel indices. */
  readonly toSource: Affine;
  readonly modes: SampleModes;
}

/** Resamples planes `from…to` along z of a grid that is turned or sheared against its source. */
export function resampleObliqueSlab({ source, target, toSource: m, modes, from, to }: ObliqueInput): void {
  const [nx, ny] = target.shape;
  const { data, strides, offset, channelStride } = target;
  for (let k = from; k < to; k++) {
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++) {
        const corners = cornersAt(
          source,
          m[0] * i + m[1] * j + m[2] * k + m[3],
          m[4] * i + m[5] * j + m[6] * k + m[7],
          m[8] * i + m[9] * j + m[10] * k + m[11],
          modes,
        );
        const at = offset + i * strides[0] + j * strides[1] + k * strides[2];
        for (let c = 0; c < target.channels; c++) data[at + c * channelStride] = sampleCorners(source, c, corners);
      }
    }
  }
}

/** Positions in the source's data and weights of the voxels around a point; reused by every call. */
const corners = { positions: new Float64Array(8), weights: new Float64Array(8), count: 0 };

function cornersAt(source: StridedImage, x: number, y: number, z: number, modes: SampleModes): typeof corners {
  const [nx, ny, nz] = source.shape;
  const [sx, sy, sz] = source.strides;
  const px = insideEdge(x, nx, modes);
  const py = insideEdge(y, ny, modes);
  const pz = insideEdge(z, nz, modes);
  const nearest = modes.interpolation === 'nearest';
  const x0 = nearest ? roundHalfToEven(px) : Math.floor(px);
  const y0 = nearest ? roundHalfToEven(py) : Math.floor(py);
  const z0 = nearest ? roundHalfToEven(pz) : Math.floor(pz);
  corners.count = 0;
  for (let corner = 0; corner < (nearest ? 1 : 8); corner++) {
    const cx = x0 + (corner & 1);
    const cy = y0 + ((corner >> 1) & 1);
    const cz = z0 + (corner >> 2);
    if (cx < 0 || cy < 0 || cz < 0 || cx >= nx || cy >= ny || cz >= nz) continue;
    corners.positions[corners.count] = source.offset + cx * sx + cy * sy + cz * sz;
    corners.weights[corners.count] = nearest
      ? 1
      : (corner & 1 ? px - x0 : x0 + 1 - px) *
        (corner & 2 ? py - y0 : y0 + 1 - py) *
        (corner & 4 ? pz - z0 : z0 + 1 - pz);
    corners.count++;
  }
  return corners;
}

function sampleCorners(source: StridedImage, channel: number, { positions, weights, count }: typeof corners): number {
  const start = channel * source.channelStride;
  let sum = 0;
  for (let n = 0; n < count; n++) {
    sum += (source.data[start + (positions[n] as number)] as number) * (weights[n] as number);
  }
  return sum;
}
