import { defineTask } from '../../compute/task.ts';
import type { FrameAtLevel, FrameDecodeInput, FrameLevelInput } from './frame-decoder.ts';

/** `decodeFrame` as a task for a compute pool: the pixels of one frame come back to the caller. */
export const decodeFrameTask = defineTask<FrameDecodeInput, Uint8Array>(
  import.meta.url,
  './frame-decoder.ts',
  'decodeFrame',
);

/** `decodeFrameAtLevel` as a task. */
export const decodeFrameAtLevelTask = defineTask<FrameLevelInput, FrameAtLevel>(
  import.meta.url,
  './frame-decoder.ts',
  'decodeFrameAtLevel',
);
