/**
 * The shapes of what a process of custom code may send. Its code can write to the channel itself, and what it writes
 * must not bring the front down.
 */
import { z } from 'zod';
import { type ErrorCode, errorTable } from '../../errors.ts';
import type { BundleMessage } from './custom-protocol.ts';

const id = z.number().int().nonnegative();
const text = z.string().max(4096);
const headers = z.record(z.string().regex(/^[a-z0-9-]{1,256}$/), z.string().regex(/^[\x20-\x7e\x80-\xff]*$/));
const error = z.object({
  code: z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
});
const result = z
  .object({
    body: z.instanceof(Uint8Array).optional(),
    bodyPath: text.optional(),
    contentType: z.string().regex(/^[\x20-\x7e]{1,1024}$/),
    status: z.number().int().min(200).max(299).optional(),
    timingsMs: z.undefined().optional(),
  })
  .strict();
const item = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), result, headers }),
  z.object({ ok: z.literal(false), error }),
]);

const bundle = z.object({
  type: z.literal('bundle'),
  id,
  request: z.object({ body: z.instanceof(Uint8Array).optional(), bodyPath: text.optional(), headers }),
});

/** `writing` is not among them: custom code writes nothing that another process would have to remove. */
const fromCustom = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('prepared'), id, model: z.object({ version: text }) }),
  z.object({ type: z.literal('unprepared'), id, error }),
  z.object({ type: z.literal('result'), jobId: id, items: z.array(item) }),
  z.object({ type: z.literal('failed'), jobId: id, error }),
  z.object({ type: z.literal('progress'), jobId: id, fraction: z.number().min(0).max(1), phase: text }),
  z.object({ type: z.literal('cancelling'), jobId: id }),
  z.object({ type: z.literal('acquire'), id, modelKey: text }),
  z.object({ type: z.literal('withdraw'), id }),
  z.object({ type: z.literal('release'), grantId: id, outcome: z.enum(['done', 'lost', 'abandoned']) }),
  bundle,
]);

/** True for a message that a process of custom code may send. */
export const isFromCustom = (message: unknown): boolean => fromCustom.safeParse(message).success;

export const isBundleMessage = (message: unknown): message is BundleMessage => bundle.safeParse(message).success;
