import { Components, type Connectivity, type ScanGrid } from './components.ts';
import type { KernelArray } from './shared-arrays.ts';

/** One channel of an image whose voxels are changed in place. */
interface ChannelInput {
  readonly data: KernelArray;
  readonly grid: ScanGrid;
  readonly connectivity: Connectivity;
}

export interface KeepLargestInput extends ChannelInput {
  /** Labels that are looked at, each by itself; none: every label. */
  readonly labels?: readonly number[] | undefined;
  /** All labels count as one. */
  readonly together: boolean;
  /** Every positive value counts as one label. */
  readonly positive: boolean;
  readonly keep: number;
}

/** Zeroes what does not belong to the `keep` largest components of its label; of equal ones the last found stays. */
export function keepLargestComponents(input: KeepLargestInput): void {
  const { data, grid, connectivity, labels, together, positive, keep } = input;
  const known = labels && new Set(labels);
  const classAt = (position: number): number => {
    const value = data[position] as number;
    if (positive) return value > 0 ? 1 : 0;
    if (value === 0 || (known && !known.has(value))) return 0;
    return together ? 1 : classes.of(value);
  };
  const classes = new ClassNumbers();
  const components = new Components(grid, connectivity, classAt);
  const sizes = sizesOf(components);
  const ofClass = new Map<number, number[]>();
  for (const component of sizes.keys()) {
    const found = components.classOf(component);
    const list = ofClass.get(found);
    if (list) list.push(component);
    else ofClass.set(found, [component]);
  }
  const kept = new Set<number>();
  for (const list of ofClass.values()) {
    const ranked = list.toSorted((a, b) => (sizes.get(b) as number) - (sizes.get(a) as number) || b - a);
    for (const component of ranked.slice(0, keep)) kept.add(component);
  }
  for (let run = 0; run < components.runs; run++) {
    if (kept.has(components.componentOf(run))) continue;
    components.forEachVoxel(run, (position) => {
      data[position] = 0;
    });
  }
}

export interface RemoveSmallInput extends ChannelInput {
  /** Components of fewer voxels are removed. */
  readonly minSize: number;
}

/** Zeroes the components of positive voxels that are smaller than `minSize`. */
export function removeSmallComponents({ data, grid, connectivity, minSize }: RemoveSmallInput): void {
  const components = new Components(grid, connectivity, (position) => ((data[position] as number) > 0 ? 1 : 0));
  const sizes = sizesOf(components);
  for (let run = 0; run < components.runs; run++) {
    if ((sizes.get(components.componentOf(run)) as number) >= minSize) continue;
    components.forEachVoxel(run, (position) => {
      data[position] = 0;
    });
  }
}

export interface FillHolesInput extends ChannelInput {
  /** The label whose holes are filled, and with it. */
  readonly label: number;
  /** Every positive value counts, and the holes become 1. */
  readonly positive: boolean;
  /** Spatial axes whose edges are open. */
  readonly axes: 2 | 3;
}

/** Gives a label to whatever its voxels enclose. */
export function fillHoles({ data, grid, connectivity, label, positive, axes }: FillHolesInput): void {
  const isOutside = (position: number): number => {
    const value = data[position] as number;
    return (positive ? value !== 0 : value === label) ? 0 : 1;
  };
  const components = new Components(grid, connectivity, isOutside);
  const open = new Set<number>();
  for (let run = 0; run < components.runs; run++)
    if (components.touchesEdge(run, axes)) open.add(components.componentOf(run));
  for (let run = 0; run < components.runs; run++) {
    if (open.has(components.componentOf(run))) continue;
    components.forEachVoxel(run, (position) => {
      data[position] = positive ? 1 : label;
    });
  }
}

/** Every label that occurs, in ascending order, without 0. */
export function labelsOf({ data, grid }: Pick<ChannelInput, 'data' | 'grid'>): number[] {
  const { offset, shape, strides } = grid;
  const found = new Set<number>();
  let last = 0;
  for (let i = 0; i < shape[0]; i++) {
    for (let j = 0; j < shape[1]; j++) {
      const row = offset + i * strides[0] + j * strides[1];
      for (let k = 0; k < shape[2]; k++) {
        const value = data[row + k * strides[2]] as number;
        if (value === last) continue;
        last = value;
        found.add(value);
      }
    }
  }
  found.delete(0);
  return [...found].toSorted((a, b) => a - b);
}

function sizesOf(components: Components): Map<number, number> {
  const sizes = new Map<number, number>();
  for (let run = 0; run < components.runs; run++) {
    const component = components.componentOf(run);
    sizes.set(component, (sizes.get(component) ?? 0) + components.sizeOf(run));
  }
  return sizes;
}

/** Whole class numbers for values of any kind. */
class ClassNumbers {
  readonly #numbers = new Map<number, number>();
  #lastValue = Number.NaN;
  #lastNumber = 0;

  of(value: number): number {
    if (value === this.#lastValue) return this.#lastNumber;
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.#numbers.size + 1;
      this.#numbers.set(value, number);
    }
    this.#lastValue = value;
    this.#lastNumber = number;
    return number;
  }
}
