import { z } from 'zod';
import { EndpointError } from '../errors.ts';
import { promptsSchema } from './prompts.ts';

const uid = z
  .string()
  .regex(/^[0-9]+(\.[0-9]+)*$/, 'is not a DICOM UID')
  .max(64);
const healthImagingId = z.string().regex(/^[0-9a-z]{32}$/, 'must be 32 characters of 0-9 and a-z');

/** One input of a request (design §5). */
export const inputSchema = z.union([
  z.strictObject({ datastoreId: healthImagingId, imageSetId: healthImagingId, seriesInstanceUid: uid.optional() }),
  z.strictObject({ uri: z.string().min(1).max(2048), seriesInstanceUid: uid.optional() }),
  z.strictObject({ dicomweb: z.string().min(1).max(2048), studyInstanceUid: uid, seriesInstanceUid: uid.optional() }),
]);

/** Where results are stored besides: among the images of a data store, or of a DICOMweb server. */
const publishSchema = z
  .strictObject({
    healthimaging: z.strictObject({ datastoreId: healthImagingId }).optional(),
    dicomweb: z.strictObject({ url: z.string().min(1).max(2048) }).optional(),
  })
  .refine(({ healthimaging, dicomweb }) => healthimaging || dicomweb, 'names neither healthimaging nor dicomweb');

export const inferenceIdSchema = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must match [A-Za-z0-9._-]{1,64}');

export const requestSchema = z.strictObject({
  inputs: z.array(inputSchema).min(1).max(64),
  output: z.strictObject({ uri: z.string().min(1).max(2048) }).optional(),
  publish: publishSchema.optional(),
  model: z.string().min(1).max(1024).optional(),
  inferenceId: inferenceIdSchema.optional(),
  prompts: promptsSchema.optional(),
  mode: z.literal('background', 'must be "background" where it is given').optional(),
});

/** A parsed JSON request: one request is one inference over all its inputs. */
export type InvocationRequest = z.infer<typeof requestSchema>;

/**
 * Parses a JSON request body. The workshop's flat form `{datastoreId, imageSetId}` is turned into `inputs`.
 *
 * @throws EndpointError `invalid_request`, naming the place
 */
export function parseInvocationRequest(body: unknown): InvocationRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new EndpointError('invalid_request', 'The body must be a JSON object with "inputs".');
  }
  const given = { ...(body as Record<string, unknown>) };
  if (!('inputs' in given) && 'datastoreId' in given && 'imageSetId' in given) {
    const { datastoreId, imageSetId, ...rest } = given;
    return parse({ ...rest, inputs: [{ datastoreId, imageSetId }] });
  }
  return parse(given);
}

function parse(value: unknown): InvocationRequest {
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new EndpointError('invalid_request', `The request is not valid: ${describeIssues(parsed.error)}.`);
}

/** The issues of a schema in words, with their places and without the offending values. */
export function describeIssues(error: z.ZodError): string {
  return describe(error.issues, []).slice(0, 5).join('; ');
}

function describe(issues: readonly z.core.$ZodIssue[], parents: readonly PropertyKey[]): string[] {
  return issues.flatMap((issue) => {
    const path = [...parents, ...issue.path];
    // Of several forms, the one that the value comes nearest to tells most.
    const nearest =
      issue.code === 'invalid_union' ? [...issue.errors].sort((a, b) => a.length - b.length)[0] : undefined;
    if (nearest) return describe(nearest, path);
    return [`${path.length > 0 ? path.map(String).join('.') : 'body'}: ${issue.message}`];
  });
}

/** Phases of a request, each in milliseconds (design §5). */
export interface TimingsMs {
  queue: number;
  load: number;
  fetch: number;
  decode: number;
  preprocess: number;
  inference: number;
  postprocess: number;
  write: number;
  total: number;
}

/** One written file of an answer. */
export interface OutputDescription {
  readonly type: string;
  readonly uri?: string;
  /** Present when the answer itself carries the files as base64. */
  readonly base64?: string;
  readonly fileName: string;
  readonly contentType: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly sopInstanceUid?: string;
}

export interface SegmentMeasurement {
  readonly segment: string;
  readonly value: number;
  readonly voxels: number;
  readonly volumeMl: number;
}

/** Figures of a classifier. */
export interface ClassificationDescription {
  readonly meaning: 'probability' | 'flag' | 'value';
  readonly classes: readonly { readonly class: number; readonly name: string | null; readonly value: number }[];
}

/** Boxes of a detector, best first. */
export interface DetectionsDescription {
  readonly space: 'LPS' | 'RAS';
  readonly unit: 'mm';
  /** Order of the numbers of a box, by MONAI's name. */
  readonly mode: string;
  readonly boxes: readonly {
    readonly box: readonly number[];
    readonly score: number;
    readonly label: number;
    readonly name: string | null;
  }[];
}

/** Where the DICOM results of an answer were published. */
export type PublicationDescription =
  | {
      readonly to: 'healthimaging';
      readonly datastoreId: string;
      /** Image sets that hold the results. */
      readonly imageSetIds: readonly string[];
      /** An earlier try of the same request had published them. */
      readonly wasThere: boolean;
    }
  | { readonly to: 'dicomweb'; readonly url: string; readonly wasThere: boolean };

/** The 200 answer, also `result.json`. */
export interface InvocationAnswer {
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  readonly inferenceId: string;
  readonly outputs: readonly OutputDescription[];
  /** Present when the request says `publish`. */
  readonly published?: readonly PublicationDescription[];
  readonly measurements: readonly SegmentMeasurement[];
  /** Present when the model classifies the image as a whole. */
  readonly classification?: ClassificationDescription;
  /** Present when the model finds boxes. */
  readonly detections?: DetectionsDescription;
  readonly warnings: readonly string[];
  readonly timingsMs: TimingsMs;
}
