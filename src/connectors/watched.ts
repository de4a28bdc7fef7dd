import { Transform } from 'node:stream';
import type { EndpointError } from '../errors.ts';
import type { Attempt } from './retry.ts';

/** Passes chunks on, reports life, and fails with `tooLong`'s error beyond the limit. */
export function watched(attempt: Attempt, limitBytes: number, tooLong: () => EndpointError): Transform {
  let length = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      attempt.alive();
      length += chunk.length;
      done(length > limitBytes ? tooLong() : null, chunk);
    },
  });
}
