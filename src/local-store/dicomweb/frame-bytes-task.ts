import { defineTask } from '../../compute/task.ts';
import { imagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import { datasetOf, type InstanceAttributes } from './attributes.ts';
import { littleEndianFrame, readFrames, type StoredFramesOfInstance } from './instance-bytes-task.ts';
import { type RenderWindow, renderPng } from './render-png.ts';

export interface FrameBytesInput extends InstanceAttributes {
  /** Holds this frame alone. */
  readonly stored: StoredFramesOfInstance;
  /** Undefined: little-endian pixels. */
  readonly picture: { readonly window: RenderWindow | undefined } | undefined;
}

/** Decodes a stored frame, or makes a picture of it. */
export const frameBytesTask = defineTask<FrameBytesInput, Uint8Array>(
  import.meta.url,
  './frame-bytes-task.ts',
  'frameBytes',
);

/** @public called by its name on a compute thread */
export async function frameBytes(input: FrameBytesInput): Promise<Uint8Array> {
  const [bytes = new Uint8Array()] = readFrames(input.stored);
  const isFloat = 'FloatPixelData' in input.attributes || 'DoubleFloatPixelData' in input.attributes;
  if (isFloat && !input.picture) return bytes;
  const dataset = datasetOf(input);
  const format = imagePixelFormat(dataset);
  const pixels = await littleEndianFrame(bytes, input.stored, 0, format);
  if (!input.picture) return pixels;
  return renderPng(pixels, format, dataset, input.stored.transferSyntaxUid, input.picture.window);
}
