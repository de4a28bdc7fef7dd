/**
 * Messages between the front and a session child, over Node's IPC channel (JSON). Windows never travel here: they go
 * from the pipeline process to the child's socket, see `frame.ts`.
 */
import type { ExecutionProvider } from '../config.ts';
import type { ErrorBody } from '../errors.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { TrialShapes } from './trial.ts';

/** Where a child's sessions run. */
export interface SessionDevice {
  readonly providers: readonly ExecutionProvider[];
  /** Index of the GPU; unused on the CPU. */
  readonly deviceId: number;
}

export type ToSession =
  /** First message: listen on the socket and import onnxruntime. */
  | { readonly type: 'start'; readonly socketPath: string }
  /** Makes a tiny session, to see whether the providers work on this machine. */
  | { readonly type: 'probe'; readonly id: number; readonly device: SessionDevice }
  | {
      readonly type: 'load';
      readonly id: number;
      readonly sessionId: string;
      readonly onnxPath: string;
      readonly device: SessionDevice;
    }
  /** Runs the network once on a made-up input and checks what it gives. */
  | { readonly type: 'try'; readonly id: number; readonly sessionId: string; readonly shapes: TrialShapes }
  | { readonly type: 'unload'; readonly id: number; readonly sessionId: string }
  /** Nobody waits for this window any more. Answered when it no longer runs; one that comes in later is dropped. */
  | { readonly type: 'cancel'; readonly id: number; readonly grantId: number };

export type FromSession =
  | { readonly type: 'started' }
  | { readonly type: 'done'; readonly id: number; readonly signature?: NetworkSignature }
  | { readonly type: 'failed'; readonly id: number; readonly error: ErrorBody };
