/** How far voxels may be from each other to be neighbours: by faces (1), edges too (2) or corners too (3). */
export type Connectivity = 1 | 2 | 3;

/** A grid over an array: the last axis is scanned along. */
export interface ScanGrid {
  readonly offset: number;
  readonly shape: readonly [number, number, number];
  readonly strides: readonly [number, number, number];
}

/**
 * Connected components of voxels of one class, by runs along the third axis: memory and time go with the surface, not
 * with the volume. Components are found in the order of their first voxel, i outermost (as scikit-image and scipy).
 */
export class Components {
  /** Of each run: class, line (i · ny + j), first and behind-last k. */
  #classes = new Int32Array(1024);
  #lines = new Int32Array(1024);
  #starts = new Int32Array(1024);
  #ends = new Int32Array(1024);
  #parents = new Int32Array(1024);
  #count = 0;
  readonly #grid: ScanGrid;

  /** @param classAt - class of the voxel at a position of the array; 0 belongs to nothing */
  constructor(grid: ScanGrid, connectivity: Connectivity, classAt: (position: number) => number) {
    this.#grid = grid;
    const [nx, ny] = grid.shape;
    let firstOfLine = new Int32Array(ny + 1);
    let previous = new Int32Array(ny + 1);
    for (let i = 0; i < nx; i++) {
      for (let j = 0; j < ny; j++) {
        firstOfLine[j] = this.#count;
        this.#scanLine(i, j, classAt);
        const to = this.#count;
        const from = firstOfLine[j] as number;
        if (j > 0) this.#join(firstOfLine[j - 1] as number, from, from, to, connectivity >= 2 ? 1 : 0);
        if (i === 0) continue;
        this.#join(previous[j] as number, previous[j + 1] as number, from, to, connectivity >= 2 ? 1 : 0);
        if (connectivity < 2) continue;
        const reach = connectivity === 3 ? 1 : 0;
        if (j > 0) this.#join(previous[j - 1] as number, previous[j] as number, from, to, reach);
        if (j + 1 < ny) this.#join(previous[j + 1] as number, previous[j + 2] as number, from, to, reach);
      }
      firstOfLine[ny] = this.#count;
      [previous, firstOfLine] = [firstOfLine, previous];
    }
  }

  get runs(): number {
    return this.#count;
  }

  /** Number of a run's component: that of its first run. */
  componentOf(run: number): number {
    let root = run;
    while (this.#parents[root] !== root) root = this.#parents[root] as number;
    for (let at = run; at !== root; ) {
      const next = this.#parents[at] as number;
      this.#parents[at] = root;
      at = next;
    }
    return root;
  }

  classOf(run: number): number {
    return this.#classes[run] as number;
  }

  sizeOf(run: number): number {
    return (this.#ends[run] as number) - (this.#starts[run] as number);
  }

  /** Whether a run touches the edge of the grid along one of its first `axes` axes. */
  touchesEdge(run: number, axes: 2 | 3): boolean {
    const [nx, ny, nz] = this.#grid.shape;
    const line = this.#lines[run] as number;
    const i = Math.floor(line / ny);
    const j = line - i * ny;
    if (i === 0 || i === nx - 1 || j === 0 || j === ny - 1) return true;
    return axes === 3 && (this.#starts[run] === 0 || this.#ends[run] === nz);
  }

  /** Calls `visit` with the array position of each voxel of a run. */
  forEachVoxel(run: number, visit: (position: number) => void): void {
    const { offset, shape, strides } = this.#grid;
    const line = this.#lines[run] as number;
    const i = Math.floor(line / shape[1]);
    const row = offset + i * strides[0] + (line - i * shape[1]) * strides[1];
    for (let k = this.#starts[run] as number; k < (this.#ends[run] as number); k++) visit(row + k * strides[2]);
  }

  #scanLine(i: number, j: number, classAt: (position: number) => number): void {
    const { offset, shape, strides } = this.#grid;
    const row = offset + i * strides[0] + j * strides[1];
    const length = shape[2];
    for (let k = 0; k < length; ) {
      const found = classAt(row + k * strides[2]);
      const start = k++;
      if (found === 0) continue;
      while (k < length && classAt(row + k * strides[2]) === found) k++;
      this.#add(found, i * shape[1] + j, start, k);
    }
  }

  #add(found: number, line: number, start: number, end: number): void {
    if (this.#count === this.#classes.length) this.#grow();
    const run = this.#count++;
    this.#classes[run] = found;
    this.#lines[run] = line;
    this.#starts[run] = start;
    this.#ends[run] = end;
    this.#parents[run] = run;
  }

  #grow(): void {
    const grown = (array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const larger = new Int32Array(array.length * 2);
      larger.set(array);
      return larger;
    };
    this.#classes = grown(this.#classes);
    this.#lines = grown(this.#lines);
    this.#starts = grown(this.#starts);
    this.#ends = grown(this.#ends);
    this.#parents = grown(this.#parents);
  }

  /** Joins the runs of two lines that overlap, or come within `reach`, and are of one class. */
  #join(aFrom: number, aTo: number, bFrom: number, bTo: number, reach: 0 | 1): void {
    let a = aFrom;
    for (let b = bFrom; b < bTo; b++) {
      const start = (this.#starts[b] as number) - reach;
      const end = (this.#ends[b] as number) + reach;
      while (a < aTo && (this.#ends[a] as number) <= start) a++;
      for (let at = a; at < aTo && (this.#starts[at] as number) < end; at++) {
        if (this.#classes[at] === this.#classes[b]) this.#unite(at, b);
      }
    }
  }

  #unite(a: number, b: number): void {
    const [rootA, rootB] = [this.componentOf(a), this.componentOf(b)];
    if (rootA < rootB) this.#parents[rootB] = rootA;
    else this.#parents[rootA] = rootB;
  }
}
