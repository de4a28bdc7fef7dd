import { EndpointError } from '../../errors.ts';
import { arrayOf, elementBytes, type TensorData, type TensorType } from '../../imaging/tensor.ts';

type Convert = (value: unknown) => number | bigint | undefined;

const whole =
  (least: number, most: number): Convert =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most ? (value as number) : undefined;
/** JSON numbers are doubles here: beyond 2^53 they are rounded, so they are refused. */
const long =
  (least: number): Convert =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least ? BigInt(value as number) : undefined;
const real =
  (round: (value: number) => number): Convert =>
  (value) =>
    typeof value === 'number' && Number.isFinite(round(value)) ? value : undefined;

/** How a JSON value becomes an element; undefined where it is none. */
const converters: Readonly<Record<TensorType, Convert>> = {
  bool: (value) => (typeof value === 'boolean' ? Number(value) : undefined),
  uint8: whole(0, 2 ** 8 - 1),
  uint16: whole(0, 2 ** 16 - 1),
  uint32: whole(0, 2 ** 32 - 1),
  uint64: long(0),
  int8: whole(-(2 ** 7), 2 ** 7 - 1),
  int16: whole(-(2 ** 15), 2 ** 15 - 1),
  int32: whole(-(2 ** 31), 2 ** 31 - 1),
  int64: long(Number.MIN_SAFE_INTEGER),
  float16: () => undefined,
  float32: real(Math.fround),
  float64: real((value) => value),
};

/**
 * Reads the `data` of a tensor: a flat list, or lists nested as the shape says. Nothing is rounded to fit but FP32.
 *
 * @param tensorName - for the message
 * @param count - elements of the shape
 * @throws EndpointError `invalid_request`, naming the element's place and never its value
 */
export function readJsonElements(
  tensorName: string,
  type: TensorType,
  shape: readonly number[],
  count: number,
  data: readonly unknown[],
): TensorData {
  if (type === 'float16') throw refusal(tensorName, 'FP16 has no form in JSON; send it in binary');
  const flat = shape.length < 2 || !Array.isArray(data[0]);
  if (flat && data.length !== count) {
    throw refusal(tensorName, `"data" has ${data.length} elements; the shape [${shape.join(', ')}] has ${count}`);
  }
  // A nested list is measured before memory is taken: a shape alone may claim anything.
  if (!flat) checkNesting(tensorName, data, shape, 0);
  const target = new arrayOf[type](new ArrayBuffer(count * elementBytes[type]), 0, count);
  const convert = converters[type];
  let index = 0;
  const put = (value: unknown): void => {
    const element = convert(value);
    if (element === undefined) throw refusal(tensorName, `element ${index} of "data" is no value of its datatype`);
    target[index++] = element;
  };
  const visit = (values: readonly unknown[], depth: number): void => {
    if (depth === 0) for (const value of values) put(value);
    else for (const value of values) visit(value as unknown[], depth - 1);
  };
  visit(data, flat ? 0 : shape.length - 1);
  return target;
}

function checkNesting(tensorName: string, values: unknown, shape: readonly number[], axis: number): void {
  if (!Array.isArray(values) || values.length !== shape[axis]) {
    throw refusal(tensorName, `"data" is not nested as the shape [${shape.join(', ')}] says`);
  }
  if (axis === shape.length - 1) return;
  for (const value of values) checkNesting(tensorName, value, shape, axis + 1);
}

/**
 * The elements of a tensor as JSON, each to its last digit.
 *
 * @throws EndpointError `invalid_request` for what JSON has no form for: FP16, infinities and NaN
 */
export function jsonElements(tensorName: string, type: TensorType, data: TensorData): string {
  const binary = 'ask for it in binary ("binary_data": true)';
  if (type === 'float16') throw refusal(tensorName, `FP16 has no form in JSON; ${binary}`);
  const texts = new Array<string>(data.length);
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number | bigint;
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw refusal(tensorName, `it holds NaN or infinity, which JSON has no form for; ${binary}`);
    }
    texts[index] = type === 'bool' ? String(value !== 0) : Object.is(value, -0) ? '-0' : String(value);
  }
  return `[${texts.join(',')}]`;
}

const refusal = (tensorName: string, why: string): EndpointError =>
  new EndpointError('invalid_request', `Tensor "${tensorName}": ${why}.`);
