import { FrameMemory } from '../../connectors/frame-memory.ts';
import type { EncodedFrame, SourceInstance, SourceSeries } from '../../connectors/image-source.ts';
import { mapWithLimit } from '../../connectors/map-with-limit.ts';
import { EndpointError } from '../../errors.ts';
import { runDecodeIntoVolume } from '../../formats/dicom/decode-task.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { FrameDecodeInput } from '../../formats/dicom/frame-decoder.ts';
import { frameBytes, type ImagePixelFormat, imagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import type { Volume } from '../../imaging/volume.ts';
import type { NamedVolume } from '../imaging-bundle.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import { applyModalityLut, type ModalityLut, readModalityLut } from './modality-lut.ts';
import { isSameGrid } from './nearest-resample.ts';
import { pictureOf, readPicture } from './picture.ts';
import type { SelectedImage } from './series-selector.ts';
import { stackSlices } from './slice-geometry.ts';
import { listSlices, type SourceSlice } from './source-slices.ts';

/** The image as the network's transforms get it, and where it came from. */
export interface SourceImage {
  readonly volume: Volume;
  /** The slice that each plane k of the volume shows; undefined for an image that was no DICOM series. */
  readonly slices: readonly SourceSlice[] | undefined;
  /** The instance that a picture was read from: it has no place in the patient. */
  readonly picture?: SourceInstance | undefined;
  /** All images for the network, where there are several: `volume` is the first of them. */
  readonly images?: readonly NamedVolume[] | undefined;
}

/** Frames that are fetched, or wait fetched for a thread, at once: the memory beside the volume is bounded by it. */
const framesInFlight = 16;

/** Voxels beyond this do not fit a typed array's practical limits; a frame count or size like that is damaged or hostile. */
const maxVoxels = 2 ** 30;

/**
 * Makes a volume of a series (`DICOMSeriesToVolumeOperator`): slices in order along their normal, frames fetched in
 * parallel and decoded on the pool's threads straight into one shared buffer, rescaled slice by slice. The values are
 * `Int16Array` where that is exact, else `Float32Array`. Here, and nowhere else, LPS becomes RAS.
 *
 * @throws EndpointError `unprocessable_image` (no volume, damaged frame), `upstream_failed` (a store sent damaged data)
 */
export class SeriesToVolume implements Operator<{ selected: SelectedImage }, { image: SourceImage }> {
  readonly name = 'series_to_volume';

  async compute({ selected }: { selected: SelectedImage }, context: ExecutionContext): Promise<{ image: SourceImage }> {
    if (selected.kind === 'volume') {
      const { volume, byInput } = selected;
      const several = byInput.length > 1 || (byInput[0]?.length ?? 0) > 1;
      const images = several
        ? byInput.map((channels) => ({ name: '', volume: channels[0] as Volume, channels }))
        : undefined;
      return { image: { volume, slices: undefined, images } };
    }
    const picture = pictureOf(selected.series);
    if (picture && !selected.all) {
      const channels = await readPicture(picture, context);
      const volume = channels[0] as Volume;
      const images = channels.length > 1 ? [{ name: '', volume, channels }] : undefined;
      return { image: { volume, slices: undefined, picture: picture.instance, images } };
    }
    const image = await volumeOf(selected.series, context);
    if (!selected.all) return { image };
    const images: NamedVolume[] = [];
    for (const [n, { name, series }] of selected.all.entries()) {
      const volume = n === 0 ? image.volume : (await volumeOf(series, context)).volume;
      checkOneFrame(selected.series, series, isSameGrid(image.volume, volume));
      images.push({ name, volume });
    }
    return { image: { ...image, images } };
  }
}

/** Positions in different frames of reference have nothing to do with each other (PS3.3 C.7.4.1). */
function checkOneFrame(one: SourceSeries, other: SourceSeries, isOnGrid: boolean): void {
  const frames = [one, other].map(({ instances }) => instances[0]?.attributes.string(tags.FrameOfReferenceUID) ?? '');
  if (frames[0] === frames[1] || isOnGrid) return;
  throw new EndpointError(
    'unprocessable_image',
    `The series ${one.seriesInstanceUid} and ${other.seriesInstanceUid} have different frames of reference and grids: register them first.`,
  );
}

async function volumeOf(series: SourceSeries, context: ExecutionContext): Promise<SourceImage> {
  const { slices, affineRas, shearDegrees } = stackSlices(listSlices(series));
  if (shearDegrees > 0.1) {
    context.warn(
      `The slices are stacked at an angle of ${shearDegrees.toFixed(1)} degrees (gantry tilt); the grid follows it.`,
    );
  }
  const planes = slices.map(readPlane);
  const [{ format }] = planes as [Plane];
  const shape = [format.columns, format.rows, slices.length] as const;
  if (shape[0] * shape[1] * shape[2] > maxVoxels) {
    throw new EndpointError('unprocessable_image', `The series has more than ${maxVoxels} voxels.`);
  }
  context.span?.set({ 'map_endpoint.frames': planes.length });
  const data = await decodePlanes(planes, context);
  return { volume: { data, shape, affineRas }, slices };
}

interface Plane {
  readonly slice: SourceSlice;
  readonly format: ImagePixelFormat;
  readonly lut: ModalityLut | undefined;
}

function readPlane(slice: SourceSlice): Plane {
  const format = imagePixelFormat(slice.instance.attributes);
  if (format.samplesPerPixel !== 1 || !format.photometricInterpretation.startsWith('MONOCHROME')) {
    throw new EndpointError(
      'unprocessable_image',
      `Instance ${slice.sopInstanceUid} is a colour image; a grey-scale volume is needed.`,
    );
  }
  const lut = slice.modalityLut && readModalityLut(slice.modalityLut, slice.sopInstanceUid);
  return { slice, format, lut };
}

/** True when every value that the plane can hold stays a 16-bit signed integer after the rescale. */
function fitsInt16({ slice: { slope, intercept }, format, lut }: Plane): boolean {
  if (lut || !Number.isInteger(slope) || !Number.isInteger(intercept) || format.bitsAllocated > 16) return false;
  const span = 2 ** format.bitsStored;
  const low = format.pixelRepresentation === 1 ? -span / 2 : 0;
  const ends = [low * slope + intercept, (low + span - 1) * slope + intercept];
  return Math.min(...ends) >= -32_768 && Math.max(...ends) <= 32_767;
}

async function decodePlanes(planes: readonly Plane[], context: ExecutionContext): Promise<Int16Array | Float32Array> {
  const [{ format }] = planes as [Plane];
  const elementType = planes.every(fitsInt16) ? 'int16' : 'float32';
  const elementBytes = elementType === 'int16' ? 2 : 4;
  const sliceBytes = format.rows * format.columns * elementBytes;
  const volume = new SharedArrayBuffer(sliceBytes * planes.length);
  // One bad frame stops all others at once, fetches and waiting decodes alike.
  const controller = new AbortController();
  const signal = AbortSignal.any([context.signal, controller.signal]);
  // Decoding overlaps fetching: until the last frame is here it counts as fetch, what is left after that as decode.
  const start = performance.now();
  let fetchedAt = start;
  const free: FrameMemory[] = [];
  try {
    await mapWithLimit(planes, framesInFlight, async (plane, k) => {
      const memory = free.pop() ?? new FrameMemory();
      try {
        const encoded = await plane.slice.instance.readFrame(plane.slice.frameIndex, signal, memory);
        fetchedAt = performance.now();
        const byteOffset = k * sliceBytes;
        const { slope, intercept } = plane.lut ? { slope: 1, intercept: 0 } : plane.slice;
        const frame = decodeInput(plane, encoded);
        await runDecodeIntoVolume(
          context.pool,
          { frame, volume, byteOffset, elementType, slope, intercept },
          signal,
        ).catch((error: unknown) => {
          throw damagedFrame(plane, encoded, error);
        });
        if (plane.lut) applyModalityLut(plane.lut, new Float32Array(volume, byteOffset, sliceBytes / 4));
      } catch (error) {
        controller.abort(error);
        throw error;
      }
      free.push(memory);
    });
  } finally {
    context.clock.add('fetch', fetchedAt - start);
    context.clock.add('decode', performance.now() - fetchedAt);
  }
  return elementType === 'int16' ? new Int16Array(volume) : new Float32Array(volume);
}

function decodeInput(plane: Plane, encoded: EncodedFrame): FrameDecodeInput {
  const expected = frameBytes(plane.format);
  if (encoded.decodedBytes !== undefined && encoded.decodedBytes !== expected) {
    const reason = `the store announces ${encoded.decodedBytes} decoded bytes, its attributes make ${expected}`;
    throw damagedFrame(plane, encoded, new EndpointError('unprocessable_image', reason));
  }
  return {
    ...plane.format,
    bytes: encoded.bytes,
    transferSyntaxUid: encoded.transferSyntaxUid,
    ...(encoded.decodedCrc32 === undefined ? {} : { expectedCrc32: encoded.decodedCrc32 }),
  };
}

/** Names the frame. Where the store told what the frame must be, the store (or the way from it) is at fault. */
function damagedFrame({ slice }: Plane, encoded: EncodedFrame, error: unknown): unknown {
  if (!(error instanceof EndpointError) || error.code !== 'unprocessable_image') return error;
  const isPromised = encoded.decodedCrc32 !== undefined || encoded.decodedBytes !== undefined;
  const frame = slice.frameIndex + 1;
  return new EndpointError(
    isPromised ? 'upstream_failed' : 'unprocessable_image',
    `Frame ${frame} of instance ${slice.sopInstanceUid} cannot be used: ${error.message}`,
    { details: { sopInstanceUid: slice.sopInstanceUid, frame }, cause: error },
  );
}
