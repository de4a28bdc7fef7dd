import { type ConfigValue, Constant, describeValue, isDictionary, isList } from './config-value.ts';
import { ExpressionError } from './expression-tokens.ts';

/** Element types by the names that torch and numpy give them. */
const dtypes: Readonly<Record<string, string>> = {
  float: 'float32',
  float16: 'float16',
  half: 'float16',
  float32: 'float32',
  float64: 'float64',
  double: 'float64',
  uint8: 'uint8',
  int8: 'int8',
  int16: 'int16',
  short: 'int16',
  uint16: 'uint16',
  int32: 'int32',
  int: 'int32',
  uint32: 'uint32',
  int64: 'int64',
  long: 'int64',
  bool: 'bool',
  bool_: 'bool',
};

const commonKeys: Readonly<Record<string, string>> = {
  IMAGE: 'image',
  LABEL: 'label',
  PRED: 'pred',
  LOSS: 'loss',
  METADATA: 'metadata',
};

/** The element type that a name stands for (`numpy.float32`, `torch.float`, `float32`). */
export function dtypeByName(name: string): Constant | undefined {
  const [, module, last] = /^(?:(torch|numpy|np)\.)?(\w+)$/.exec(name) ?? [];
  if (last === undefined || !Object.hasOwn(dtypes, last)) return undefined;
  // numpy's and Python's own `float` and `int` are 64 bits wide, torch's are 32.
  if (module !== 'torch' && (last === 'float' || last === 'int')) return new Constant('dtype', `${last}64`);
  return new Constant('dtype', dtypes[last] as string);
}

/** Value of a dotted name: constants of the whitelist alone. */
export function namedValue(name: string): ConfigValue {
  if (/^(?:np|numpy|math)\.pi$/.test(name)) return Math.PI;
  const key = /^(?:monai\.utils\.(?:enums\.)?)?CommonKeys\.(\w+)$/.exec(name)?.[1];
  if (key !== undefined && Object.hasOwn(commonKeys, key)) return commonKeys[key] as string;
  const dtype = dtypeByName(name);
  if (dtype && name !== 'double' && name !== 'half' && name !== 'long' && name !== 'short') return dtype;
  throw new ExpressionError(`the name '${name.slice(0, 80)}' is not supported`);
}

/** Calls a function of the whitelist. None has an effect, and none reaches the machine. */
export function callFunction(name: string, args: readonly ConfigValue[]): ConfigValue {
  const [first] = args;
  switch (name) {
    case 'torch.cuda.is_available':
      return false;
    case 'torch.device':
      // Where the network runs is the endpoint's affair: every device is the one that it has.
      return new Constant('device', 'cpu');
    case 'os.path.join':
      return joinPath(args);
    case 'pathlib.Path.read_text':
      if (args.length === 1 && typeof first === 'string') return new Constant('text of', first);
      break;
    case 'copy.deepcopy':
    case 'copy.copy':
      if (args.length === 1 && first !== undefined) return first;
      break;
    case 'range':
      return range(args);
    case 'list':
    case 'tuple':
      if (args.length === 0) return [];
      if (args.length === 1 && isList(first)) return first;
      break;
    case 'len':
      if (args.length === 1 && (isList(first) || typeof first === 'string')) return first.length;
      if (args.length === 1 && isDictionary(first)) return first.size;
      break;
    case 'float':
    case 'int':
      if (args.length === 1) return toNumber(name, first as ConfigValue);
      break;
    default:
      throw new ExpressionError(`the function '${name.slice(0, 80)}' is not supported`);
  }
  throw new ExpressionError(`${name}(${args.map(describeValue).join(', ')})`);
}

function joinPath(parts: readonly ConfigValue[]): string {
  let path = '';
  for (const part of parts) {
    if (typeof part !== 'string') throw new ExpressionError(`os.path.join of ${describeValue(part)}`);
    path = part.startsWith('/') || path === '' ? part : `${path.replace(/\/$/, '')}/${part}`;
  }
  return path;
}

function range(args: readonly ConfigValue[]): number[] {
  const numbers = args.filter((arg): arg is number => Number.isInteger(arg));
  if (numbers.length !== args.length || numbers.length < 1 || numbers.length > 3)
    throw new ExpressionError('range takes one to three whole numbers');
  const [from, to, step] =
    numbers.length === 1 ? [0, numbers[0] as number, 1] : [numbers[0] as number, numbers[1] as number, numbers[2] ?? 1];
  const length = step === 0 ? Number.NaN : Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= 100_000)) throw new ExpressionError('the range is too long');
  return Array.from({ length }, (_, n) => from + n * step);
}

function toNumber(name: 'float' | 'int', value: ConfigValue): number {
  const text = typeof value === 'string' ? value.trim() : value;
  const number = typeof text === 'boolean' || (typeof text === 'string' && text !== '') ? Number(text) : text;
  if (typeof number !== 'number' || !Number.isFinite(number))
    throw new ExpressionError(`${name} of ${describeValue(value)}`);
  return name === 'int' ? Math.trunc(number) : number;
}
