/** Schemas of what the server answers, and of requests in their wire form: the OpenAPI document is made of them. */
import { z } from 'zod';
import { type ErrorCode, errorTable } from '../errors.ts';
import { type InvocationAnswer, inferenceIdSchema, requestSchema } from './invocation.ts';

const milliseconds = z.number().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const timingsSchema = z
  .strictObject({
    queue: milliseconds,
    load: milliseconds,
    fetch: milliseconds,
    decode: milliseconds,
    preprocess: milliseconds,
    inference: milliseconds,
    postprocess: milliseconds,
    write: milliseconds,
    total: milliseconds,
  })
  .describe('Milliseconds of each phase.');

const outputSchema = z
  .strictObject({
    type: z.string().describe('dicom-seg, nifti, json, png, …'),
    uri: z.string().exactOptional().describe('Where it was written, when the request gave output.'),
    base64: z
      .string()
      .meta({ description: 'The file itself, when the request gave no output.', contentEncoding: 'base64' })
      .exactOptional(),
    fileName: z.string(),
    contentType: z.string(),
    bytes: z.int().min(0),
    sha256,
    sopInstanceUid: z.string().exactOptional(),
  })
  .describe('One file of the result.');

const measurementSchema = z.strictObject({
  segment: z.string(),
  value: z.int(),
  voxels: z.int().min(0),
  volumeMl: z.number().min(0),
});

const classificationSchema = z
  .strictObject({
    meaning: z
      .enum(['probability', 'flag', 'value'])
      .describe('flag: 1 for the classes that the model decided for, else 0. value: what the network gave.'),
    classes: z.array(z.strictObject({ class: z.int().min(0), name: z.string().nullable(), value: z.number() })),
  })
  .describe('What the model says of the image as a whole.');

const detectionsSchema = z
  .strictObject({
    space: z.enum(['LPS', 'RAS']).describe("The patient's axes that the boxes lie along."),
    unit: z.literal('mm'),
    mode: z.string().describe('Order of the six numbers of a box: cccwhd is its centre and its sizes.'),
    boxes: z.array(
      z.strictObject({
        box: z.array(z.number()).length(6),
        score: z.number(),
        label: z.int().min(0),
        name: z.string().nullable(),
      }),
    ),
  })
  .describe('Boxes that the model found, best first.');

const publicationSchema = z
  .discriminatedUnion('to', [
    z.strictObject({
      to: z.literal('healthimaging'),
      datastoreId: z.string(),
      imageSetIds: z.array(z.string()),
      wasThere: z.boolean(),
    }),
    z.strictObject({ to: z.literal('dicomweb'), url: z.string(), wasThere: z.boolean() }),
  ])
  .describe('Where the DICOM results were published, when the request says publish.');

export const answerSchema: z.ZodType<InvocationAnswer> = z
  .strictObject({
    model: z.strictObject({ name: z.string(), version: z.string(), sha256 }),
    inferenceId: inferenceIdSchema,
    outputs: z.array(outputSchema),
    published: z.array(publicationSchema).exactOptional(),
    measurements: z.array(measurementSchema),
    classification: classificationSchema.exactOptional(),
    detections: detectionsSchema.exactOptional(),
    warnings: z.array(z.string()),
    timingsMs: timingsSchema,
  })
  .describe('The result. With output in the request it also lies there as result.json, written last.');

/** A request as it is written: `inputs`, or the flat form of one image set. */
export const invocationSchema = z.union([
  requestSchema,
  z.strictObject({
    datastoreId: z.string(),
    imageSetId: z.string(),
    output: requestSchema.shape.output,
    publish: requestSchema.shape.publish,
    prompts: requestSchema.shape.prompts,
    model: requestSchema.shape.model,
    inferenceId: requestSchema.shape.inferenceId,
  }),
]);

const errorCodes = Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]];
const errorSchemaOf = (code: z.ZodType) =>
  z.strictObject({
    error: z.strictObject({
      code,
      message: z.string().describe('What failed, where, and what to do.'),
      details: z.record(z.string(), z.unknown()).exactOptional(),
    }),
  });

/** Every failure of this server. */
export const errorSchema = errorSchemaOf(z.enum(errorCodes));

/** A failure with one of these codes. */
export const errorSchemaWith = (codes: readonly ErrorCode[]): z.ZodType =>
  errorSchemaOf(z.enum(codes as [ErrorCode, ...ErrorCode[]]));

/** SageMaker Runtime's form of a container's failure. */
export const modelErrorSchema = z.strictObject({
  Message: z.string(),
  OriginalStatusCode: z.int(),
  OriginalMessage: z.string().describe('The container’s error, as JSON.'),
  LogStreamArn: z.string(),
});
export const validationErrorSchema = z.strictObject({ Message: z.string() });

export const acceptedSchema = z
  .strictObject({
    inferenceId: inferenceIdSchema,
    resultPrefix: z.string().describe('Where the results will lie.'),
    status: z.string().describe('Where status.json tells how far the work is, and how it ended.'),
  })
  .describe('A background request was taken. The same request again finds its work.');
export const asyncAcceptedSchema = z.strictObject({ InferenceId: z.string() });

export const modelDescriptionSchema = z.strictObject({ modelName: z.string(), modelUrl: z.string() });
export const modelListSchema = z.strictObject({
  models: z.array(modelDescriptionSchema),
  nextPageToken: z.string().exactOptional(),
});
export const loadModelSchema = z.object({ model_name: z.string().min(1).max(1024), url: z.string().min(1).max(2048) });
export const emptySchema = z.strictObject({});

export const executionParametersSchema = z.strictObject({
  MaxConcurrentTransforms: z.int().min(1),
  BatchStrategy: z.enum(['SINGLE_RECORD', 'MULTI_RECORD']),
  MaxPayloadInMB: z.int().min(1),
});
export const livenessSchema = z.strictObject({ alive: z.literal(true) });
export const readinessSchema = z.strictObject({
  ready: z.boolean(),
  draining: z.boolean(),
  childStartsFail: z.boolean(),
  warnings: z.array(z.string()),
});

/** Schemas that stand in the document under a name of their own. */
export const namedSchemas: Readonly<Record<string, z.ZodType>> = {
  InvocationRequest: invocationSchema,
  InvocationAnswer: answerSchema,
  Error: errorSchema,
  ModelError: modelErrorSchema,
  ValidationError: validationErrorSchema,
  Accepted: acceptedSchema,
  ModelDescription: modelDescriptionSchema,
  ModelList: modelListSchema,
  LoadModelRequest: loadModelSchema,
  ExecutionParameters: executionParametersSchema,
  Liveness: livenessSchema,
  Readiness: readinessSchema,
};
