import { z } from 'zod';
import { EndpointError } from '../errors.ts';
import { describeIssues } from './invocation.ts';

const code = z.tuple([z.string().min(1).max(16), z.string().min(1).max(16), z.string().min(1).max(64)]);

const segmentSchema = z.strictObject({
  value: z.int().min(1).max(65535),
  label: z.string().min(1).max(64),
  category: code.default(['123037004', 'SCT', 'Anatomical Structure']),
  propertyType: code.optional(),
});

const outputSchema = z.strictObject({
  type: z.enum(['dicom-seg', 'nifti', 'json', 'png', 'stl', 'dicom-sr', 'dicom-pdf']),
  segmentType: z.enum(['BINARY', 'LABELMAP', 'FRACTIONAL']).default('BINARY'),
  seriesDescription: z.string().min(1).max(64).optional(),
  segments: z.array(segmentSchema).min(1).max(1024).optional(),
  algorithm: z.strictObject({ name: z.string().min(1).max(64), version: z.string().min(1).max(64) }).optional(),
});

const conditionValue = z.union([z.string(), z.number(), z.array(z.union([z.string(), z.number()]))]);

/** Series selection rules in the MONAI Deploy App SDK's form (field-facts §4.2). */
export const seriesRulesSchema = z.strictObject({
  selections: z
    .array(z.strictObject({ name: z.string().default(''), conditions: z.record(z.string(), conditionValue) }))
    .min(1),
  /** As the SDK does it: a term of a list condition may be any part of the attribute ("CT" is found in "ACT"). */
  substringTerms: z.boolean().default(false),
});

/** `map.json`: what a bundle can't say. Every field has a default; an unknown key is an error (design §3). */
const mapSchema = z.strictObject({
  name: z.string().min(1).max(64).optional(),
  version: z.string().min(1).max(64).optional(),
  series: seriesRulesSchema.optional(),
  io: z.strictObject({ input: z.string().min(1).optional(), output: z.string().min(1).optional() }).default({}),
  outputs: z.array(outputSchema).min(1).optional(),
  inference: z.strictObject({ timeoutSeconds: z.number().positive().max(86_400).optional() }).default({}),
  batch: z
    .strictObject({
      maxSize: z.int().min(1).max(1024).default(1),
      maxDelayMs: z.number().min(0).max(60_000).default(0),
    })
    .default({ maxSize: 1, maxDelayMs: 0 }),
  /** The network is served by its tensors alone (docs/oip.md): no images, and `configs/inference.json` is not read. */
  tensorsOnly: z.boolean().default(false),
});

export type MapJson = z.infer<typeof mapSchema>;
export type MapOutput = z.infer<typeof outputSchema>;
export type MapSegment = z.infer<typeof segmentSchema>;
export type SeriesRules = z.infer<typeof seriesRulesSchema>;

/**
 * Parses the content of `map.json`; `{}` stands for an absent file.
 *
 * @throws EndpointError `invalid_archive`, naming the place
 */
export function parseMapJson(value: unknown): MapJson {
  const parsed = mapSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new EndpointError('invalid_archive', `map.json is not valid: ${describeIssues(parsed.error)}.`);
}
