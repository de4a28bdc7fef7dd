import { createHash } from 'node:crypto';

/**
 * A UID under 2.25 (PS3.5 B.2) that the same seed and role always give: a retry of a request then overwrites its objects
 * instead of doubling them. The 128 bits are the head of a SHA-256, marked as a UUID of version 8.
 *
 * @param seed - identifies the request: model, inputs and inferenceId
 * @param role - what the UID is for (`sop-instance`, `series`, …)
 */
export function derivedUid(seed: string, role: string): string {
  const bytes = createHash('sha256').update(`${seed}\n${role}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return `2.25.${BigInt(`0x${bytes.toString('hex')}`)}`;
}
