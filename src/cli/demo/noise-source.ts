/** Values of the standard normal distribution at 65,536 equally likely quantiles: one table look-up a sample. */
let quantiles: Float32Array | undefined;

/** A seeded source of Gaussian noise (mean 0, standard deviation 1): the same numbers on every machine. */
export class NoiseSource {
  #state: number;
  readonly #table: Float32Array;

  constructor(seed: number) {
    // Neighbouring seeds are spread out before use: xorshift would let the first numbers resemble each other.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) || 1;
    quantiles ??= normalQuantiles(65_536);
    this.#table = quantiles;
    for (let n = 0; n < 8; n++) this.next();
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return this.#table[(x >>> 8) & 0xffff] as number;
  }
}

/** Quantiles (n + ½) / count, by stepping the density's integral with Newton's method from its neighbour. */
function normalQuantiles(count: number): Float32Array {
  const table = new Float32Array(count);
  const half = count / 2;
  let x = 0;
  let below = 0.5;
  for (let n = half; n < count; n++) {
    const wanted = (n + 0.5) / count;
    for (let step = 0; step < 4; step++) {
      const next = x + (wanted - below) / density(x);
      below += integrate(x, next);
      x = next;
    }
    table[n] = x;
    table[count - 1 - n] = -x;
  }
  return table;
}

const density = (x: number): number => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

/** Integral of the density over a short interval (Simpson's rule). */
const integrate = (from: number, to: number): number =>
  ((to - from) / 6) * (density(from) + 4 * density((from + to) / 2) + density(to));
