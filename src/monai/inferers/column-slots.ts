import type { ColumnArea } from '../../compute/kernels/column-task.ts';
import type { WindowPlan } from './window-plan.ts';

/**
 * Which columns of the image are in memory while windows are added in their order, x outermost. A column comes when the
 * first window over it does, is complete after the last, and goes when nothing reads it any more.
 */
export class ColumnSlots {
  /** Slot of column (x, y) at `x · ny + y`; -1: not in memory. */
  readonly slots: Int32Array;
  readonly #plan: WindowPlan;
  readonly #free: number[] = [];
  #made = 0;

  constructor(plan: WindowPlan) {
    this.#plan = plan;
    const [nx, ny] = plan.paddedShape;
    this.slots = new Int32Array(new SharedArrayBuffer(nx * ny * 4)).fill(-1);
  }

  /** Most columns that were in memory at once. */
  get peak(): number {
    return this.#made;
  }

  /** Makes room for the columns under a row of windows. */
  open(row: WindowRow): void {
    const { roi, paddedShape, axisStarts } = this.#plan;
    const [x0, y0] = [axisStarts[0][row.x] as number, axisStarts[1][row.y] as number];
    for (let x = x0; x < x0 + roi[0]; x++) {
      for (let at = x * paddedShape[1] + y0, end = at + roi[1]; at < end; at++) {
        if (this.slots[at] === -1) this.slots[at] = this.#free.pop() ?? this.#made++;
      }
    }
  }

  /** Columns that no window after this row covers, and one before it did not complete. */
  completed({ x, y }: WindowRow): ColumnArea {
    const { axisStarts, paddedShape } = this.#plan;
    return {
      x: [axisStarts[0][x] as number, axisStarts[0][x + 1] ?? paddedShape[0]],
      y: [axisStarts[1][y] as number, axisStarts[1][y + 1] ?? paddedShape[1]],
    };
  }

  /**
   * Lets go of complete columns.
   *
   * @param keepsEdge - whether the last ones in x and y are still needed: the next ones are their neighbours
   * @returns their slots
   */
  close(row: WindowRow, keepsEdge: boolean): Int32Array {
    const { paddedShape } = this.#plan;
    const { x, y } = this.completed(row);
    const kept = keepsEdge ? 1 : 0;
    const xEnd = x[1] === paddedShape[0] ? x[1] : x[1] - kept;
    const yEnd = y[1] === paddedShape[1] ? y[1] : y[1] - kept;
    const freed: number[] = [];
    // With edges kept, what the rows before left is one plane or column wide.
    for (let column = Math.max(0, x[0] - kept); column < xEnd; column++) {
      for (let at = Math.max(0, y[0] - kept); at < yEnd; at++) {
        const slot = this.slots[column * paddedShape[1] + at] as number;
        if (slot === -1) continue;
        freed.push(slot);
        this.slots[column * paddedShape[1] + at] = -1;
      }
    }
    this.#free.push(...freed);
    return Int32Array.from(freed);
  }
}

/** Windows with the same start in x and y: their numbers along these axes. */
export interface WindowRow {
  readonly x: number;
  readonly y: number;
}

/** Most columns that are in memory at once. */
export function peakColumns(plan: WindowPlan, keepsEdge: boolean): number {
  const slots = new ColumnSlots(plan);
  for (let x = 0; x < plan.axisStarts[0].length; x++) {
    for (let y = 0; y < plan.axisStarts[1].length; y++) {
      slots.open({ x, y });
      slots.close({ x, y }, keepsEdge);
    }
  }
  return slots.peak;
}
