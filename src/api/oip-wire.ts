/** Schemas of what the Open Inference Protocol answers: the OpenAPI document is made of them. */
import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { datatypeOf } from './oip.ts';

const datatype = z.enum(Object.values(datatypeOf) as [string, ...string[]]);
const tensor = z.strictObject({ name: z.string(), datatype, shape: z.array(z.int()) });

export const oipServerSchema = z.strictObject({
  name: z.string(),
  version: z.string(),
  extensions: z.array(z.string()),
});
export const oipModelReadySchema = z.strictObject({ name: z.string(), ready: z.literal(true) });
export const oipMetadataSchema = z.strictObject({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: z.array(tensor),
  outputs: z.array(tensor),
});
export const oipIndexSchema = z.array(
  z.strictObject({
    name: z.string(),
    state: z.enum(['LOADING', 'READY', 'UNLOADING', 'FAILED']),
    reason: z.string().describe('Code of what it failed with.'),
  }),
);
export const oipAnswerSchema = z.looseObject({
  model_name: z.string(),
  model_version: z.string().exactOptional(),
  id: z.string().exactOptional(),
  outputs: z.array(
    z.looseObject({
      name: z.string(),
      datatype,
      shape: z.array(z.int().min(0)),
      data: z.array(z.unknown()).exactOptional(),
    }),
  ),
});

/** The protocol's form of a failure: `error` is the message. */
export const oipErrorSchema = (codes: readonly ErrorCode[]): z.ZodType =>
  z.strictObject({
    error: z.string().describe('What failed, where, and what to do.'),
    code: z.enum(codes as [ErrorCode, ...ErrorCode[]]),
    details: z.record(z.string(), z.unknown()).exactOptional(),
  });
