import type { SourceInstance, SourceSeries } from '../../connectors/image-source.ts';
import { EndpointError } from '../../errors.ts';
import { decodeFrameTask } from '../../formats/dicom/decode-frame-task.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { type ImagePixelFormat, imagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import { transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import { identityAffine } from '../../imaging/affine.ts';
import type { Volume } from '../../imaging/volume.ts';
import type { ExecutionContext } from '../operator.ts';
import { toRgb } from './picture-colours.ts';
import { greyPlane } from './picture-grey.ts';

/** A series that is one picture: colour, or without a place in the patient (mammography, radiography, endoscopy). */
export interface Picture {
  readonly instance: SourceInstance;
  readonly format: ImagePixelFormat;
}

/**
 * The picture that a series is; undefined for slices of a volume, whose own checks then tell what they lack.
 *
 * @throws EndpointError `unprocessable_image`: several pictures or frames, of which a model takes one
 */
export function pictureOf({ instances }: SourceSeries): Picture | undefined {
  const pictures = instances.filter(isPicture);
  if (pictures.length === 0 || pictures.length !== instances.length) return undefined;
  const [instance] = pictures as [SourceInstance];
  const uid = instance.attributes.string(tags.SOPInstanceUID) ?? 'without SOPInstanceUID';
  if (pictures.length > 1) {
    const uids = pictures.slice(0, 10).map(({ attributes }) => attributes.string(tags.SOPInstanceUID) ?? '');
    throw new EndpointError(
      'unprocessable_image',
      `The series holds ${pictures.length} pictures (colour, or without a place in the patient); a model takes one: send it alone. Instances: ${uids.join(', ')}.`,
    );
  }
  const { attributes, numberOfFrames } = instance;
  const declared = attributes.number(tags.NumberOfFrames) ?? 1;
  if (numberOfFrames === 0) throw bad(uid, 'has no pixel data');
  if (declared !== numberOfFrames) throw bad(uid, `declares ${declared} frames, ${numberOfFrames} are there`);
  if (numberOfFrames > 1) throw bad(uid, `has ${numberOfFrames} frames; a model for pictures takes one: send it alone`);
  return { instance, format: imagePixelFormat(attributes) };
}

/** Colour is never a volume. Grey needs a place to be one: of its own, or in functional groups. */
function isPicture({ attributes }: SourceInstance): boolean {
  if (
    (attributes.number(tags.SamplesPerPixel) ?? 1) > 1 ||
    attributes.string(tags.PhotometricInterpretation) === 'PALETTE COLOR'
  )
    return true;
  const isEnhanced =
    attributes.items(tags.SharedFunctionalGroupsSequence).length > 0 ||
    attributes.items(tags.PerFrameFunctionalGroupsSequence).length > 0;
  const isPlaced = [tags.ImagePositionPatient, tags.ImageOrientationPatient].some((tag) => attributes.has(tag));
  const isSlice = sliceModalities.has(attributes.string(tags.Modality) ?? '');
  return !isEnhanced && !isPlaced && !isSlice;
}

/** Of these an image without a place is a slice that lost it, not a picture. */
const sliceModalities: ReadonlySet<string> = new Set(['CT', 'MR', 'PT', 'NM']);

/**
 * Reads a picture as one plane a channel, x along the rows, y down, as MONAI's readers turn a PNG of it: grey with its
 * rescale, brighter where MONOCHROME1 is darker; colour as RGB.
 *
 * @throws EndpointError `unprocessable_image`
 */
export async function readPicture({ instance, format }: Picture, context: ExecutionContext): Promise<Volume[]> {
  const { attributes } = instance;
  const uid = attributes.string(tags.SOPInstanceUID) ?? 'without SOPInstanceUID';
  if (attributes.string(tags.PresentationIntentType) === 'FOR PROCESSING')
    context.warn('The picture is the detector’s raw one (FOR PROCESSING), not the one that readers see.');
  const { encoded, pixels } = await decoded(instance, format, uid, context);
  const planes =
    format.samplesPerPixel === 1
      ? [greyPlane(pixels, format, attributes, uid)]
      : toRgb(pixels, { ...format, photometricInterpretation: colourOf(format, encoded.transferSyntaxUid) }, uid);
  const shape = [format.columns, format.rows, 1] as const;
  return planes.map((data) => ({ data, shape, affineRas: identityAffine, isPlane: true }));
}

async function decoded(instance: SourceInstance, format: ImagePixelFormat, uid: string, context: ExecutionContext) {
  const { pool, signal, clock } = context;
  const encoded = await clock.time('fetch', () => instance.readFrame(0, signal));
  const { bytes, transferSyntaxUid, decodedCrc32 } = encoded;
  const expected = decodedCrc32 === undefined ? {} : { expectedCrc32: decodedCrc32 };
  try {
    const input = { ...format, bytes, transferSyntaxUid, ...expected };
    const pixels = await clock.time('decode', () => pool.run(decodeFrameTask, input, signal));
    return { encoded, pixels };
  } catch (error) {
    if (!(error instanceof EndpointError) || error.code !== 'unprocessable_image') throw error;
    const code = decodedCrc32 === undefined ? 'unprocessable_image' : 'upstream_failed';
    throw new EndpointError(code, `Instance ${uid} cannot be used: ${error.message}`, { cause: error });
  }
}

/** What decoded pixels are: JPEG's codec, and JPEG 2000's transforms, give RGB. */
function colourOf({ photometricInterpretation }: ImagePixelFormat, transferSyntaxUid: string): string {
  const isTransformed =
    transferSyntaxUid === transferSyntax.jpegBaseline || /^YBR_(RCT|ICT)$/.test(photometricInterpretation);
  return isTransformed ? 'RGB' : photometricInterpretation;
}

const bad = (uid: string, what: string): EndpointError =>
  new EndpointError('unprocessable_image', `Instance ${uid} ${what}.`);
