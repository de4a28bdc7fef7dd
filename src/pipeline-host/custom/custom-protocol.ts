/** What a process of custom code says and hears besides the messages of every pipeline process (`../protocol.ts`). */
import type { ErrorBody } from '../../errors.ts';
import type { HandlerRequest } from '../../handlers/contract.ts';
import type { JobItem } from '../protocol.ts';

/** The handler asks for the archive's bundle to be run on a request (`runBundle`). */
export interface BundleMessage {
  readonly type: 'bundle';
  readonly id: number;
  /** Its `bodyPath` lies in the job's scratch folder. */
  readonly request: Pick<HandlerRequest, 'body' | 'bodyPath' | 'headers'>;
}

export type ToCustom =
  | { readonly type: 'bundle-result'; readonly id: number; readonly item: JobItem }
  | { readonly type: 'bundle-failed'; readonly id: number; readonly error: ErrorBody };
