import type { DicomTags } from '../records.ts';
import { ServiceError, type ServiceErrorName } from '../service-error.ts';

/** What making a version by a change came to. Errors of a compute thread lose their class, so a refusal is a value. */
export type ChangeOutcome =
  | {
      readonly kind: 'made';
      readonly dicomTags: DicomTags;
      readonly identityDigest: string;
    }
  | { readonly kind: 'refused'; readonly name: ServiceErrorName; readonly message: string }
  | { readonly kind: 'disk-full' };

/** Runs the work of a task: a refusal and a full disk are outcomes, all else is thrown. */
export function asOutcome(work: () => ChangeOutcome): ChangeOutcome {
  try {
    return work();
  } catch (error) {
    if (error instanceof ServiceError) return { kind: 'refused', name: error.name, message: error.message };
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return { kind: 'disk-full' };
    throw error;
  }
}
