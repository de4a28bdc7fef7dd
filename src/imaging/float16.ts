/** IEEE 754 half precision: ONNX's `float16`, which travels as raw bits. */

const floatBits = new Uint32Array(1);
const asFloat = new Float32Array(floatBits.buffer);

let table: Float32Array | undefined;

/** Every half as a float32 (exact); made on first use. */
function halves(): Float32Array {
  table ??= Float32Array.from({ length: 65_536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return table;
}

/** Halves as float32; exact. */
export function fromHalf(bits: Uint16Array, target: Float32Array): void {
  const values = halves();
  for (let i = 0; i < bits.length; i++) target[i] = values[bits[i] as number] as number;
}

/** Float32 as halves, to the nearest, ties to even; too large becomes infinite (torch's `.half()`). */
export function toHalf(values: Float32Array, target: Uint16Array): void {
  for (let i = 0; i < values.length; i++) {
    asFloat[0] = values[i] as number;
    target[i] = halfBits(floatBits[0] as number);
  }
}

function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00; // not a number
  if (magnitude >= 0x4780_0000) return sign | 0x7c00; // 65536 and more
  if (magnitude < 0x3880_0000) {
    // Below 2^-14: a multiple of 2^-24. Adding 0.5 lets the float32 addition round it there.
    floatBits[0] = magnitude;
    asFloat[0] = (asFloat[0] as number) + 0.5;
    return sign | ((floatBits[0] as number) - 0x3f00_0000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x3800_0000 + 0xfff + odd) >>> 13);
}
