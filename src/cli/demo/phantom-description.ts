import { z } from 'zod';
import { EndpointError } from '../../errors.ts';

const point = z.tuple([z.number(), z.number(), z.number()]);

const solidSchema = z.strictObject({
  name: z.string().min(1),
  shape: z.enum(['ellipsoid', 'cylinder']),
  /** LPS, millimetres. */
  center: point,
  /** Semi-axes in millimetres; of a cylinder the last one is its half-length along z. */
  radii: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
  /** Degrees about z, then about x. */
  rotate: z.tuple([z.number(), z.number()]).default([0, 0]),
  hu: z.number().min(-1024).max(3071),
  /** Label in the true mask. */
  label: z.int().min(1).max(255).optional(),
});

const phantomSchema = z.strictObject({
  title: z.string(),
  frame: z.string(),
  note: z.string(),
  background_hu: z.number().min(-1024).max(3071),
  noise_sigma_hu: z.number().min(0).max(100),
  blur_sigma_mm: z.number().min(0).max(5),
  solids: z.array(solidSchema).min(1).max(1000),
});

/** A phantom of solids in DICOM patient coordinates (LPS, mm), painted in order: a later one over an earlier one. */
export type PhantomDescription = z.infer<typeof phantomSchema>;
export type PhantomSolid = z.infer<typeof solidSchema>;

/**
 * Parses `samples/phantom.json`.
 *
 * @throws EndpointError `invalid_request`, naming the place
 */
export function parsePhantom(text: string): PhantomDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new EndpointError('invalid_request', 'The phantom description is no JSON.');
  }
  const parsed = phantomSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new EndpointError('invalid_request', `The phantom description is not valid: ${z.prettifyError(parsed.error)}`);
}
