import {
  Component,
  type ConfigValue,
  Constant,
  describeValue,
  isDictionary,
  isList,
  Lambda,
  MethodCall,
} from './config-value.ts';
import type { Expression } from './expression-parser.ts';
import { ExpressionError } from './expression-tokens.ts';
import { callFunction, namedValue } from './python-names.ts';

/** Longest list or string that an expression may make. */
const maxLength = 100_000;

/**
 * Evaluates a parsed expression with Python's meaning. Only what is taken is evaluated: the other branch of a ternary
 * and the right side of a decided `and`/`or` are not.
 *
 * @param resolve - value of a reference; throws when there is none
 * @param parsedFile - content of a JSON file that the expression reads
 * @throws ExpressionError on anything outside the grammar's whitelist or with the wrong types
 */
export function evaluateExpression(
  node: Expression,
  resolve: (id: string) => ConfigValue,
  parsedFile: (path: string) => ConfigValue = unknownFile,
): ConfigValue {
  const evaluate = (child: Expression): ConfigValue => evaluateExpression(child, resolve, parsedFile);
  switch (node.kind) {
    case 'literal':
      return node.value;
    case 'ref':
      return resolve(node.id);
    case 'name':
      return namedValue(node.name);
    case 'call': {
      const [keyword] = node.keywords.keys();
      if (keyword !== undefined) throw new ExpressionError(`${node.name} with '${keyword.slice(0, 40)}='`);
      const args = node.args.map(evaluate);
      const [first] = args;
      if (node.name === 'json.loads' && args.length === 1 && first instanceof Constant && first.kind === 'text of')
        return parsedFile(first.name);
      return bounded(callFunction(node.name, args));
    }
    case 'method': {
      const of = evaluate(node.of);
      if (!(of instanceof Component)) throw new ExpressionError(`${node.name} of ${describeValue(of)}`);
      // Where a network runs is the endpoint's affair.
      if (node.name === 'to') return of;
      const keywords = [...node.keywords].map(([key, value]) => [key, evaluate(value)] as const);
      return new MethodCall(of, node.name, node.args.map(evaluate), new Map(keywords));
    }
    case 'lambda':
      return new Lambda(node.parameter, node.body);
    case 'list':
      return node.items.map(evaluate);
    case 'dictionary':
      return new Map(node.entries.map(([key, value]) => [stringKey(evaluate(key)), evaluate(value)]));
    case 'unary':
      return unary(node.operator, evaluate(node.operand));
    case 'binary':
      return bounded(arithmetic(node.operator, evaluate(node.left), evaluate(node.right)));
    case 'comparison':
      return comparison(evaluate(node.first), node.rest, evaluate);
    case 'both': {
      const left = evaluate(node.left);
      return isTrue(left) === (node.operator === 'and') ? evaluate(node.right) : left;
    }
    case 'choice':
      return isTrue(evaluate(node.test)) ? evaluate(node.yes) : evaluate(node.no);
    case 'subscript':
      return subscript(evaluate(node.of), evaluate(node.index));
    case 'slice':
      return slice(
        evaluate(node.of),
        node.bounds.map((bound) => (bound === undefined ? null : evaluate(bound))),
      );
  }
}

function unknownFile(): never {
  throw new ExpressionError('no file is read here');
}

/** Python's truth of a value. */
export function isTrue(value: ConfigValue): boolean {
  if (isList(value)) return value.length > 0;
  if (isDictionary(value)) return value.size > 0;
  return value !== null && value !== false && value !== 0 && value !== '';
}

function bounded(value: ConfigValue): ConfigValue {
  if ((typeof value === 'string' || isList(value)) && value.length > maxLength)
    throw new ExpressionError(`the result is longer than ${maxLength}`);
  return value;
}

function stringKey(key: ConfigValue): string {
  if (typeof key !== 'string') throw new ExpressionError('a dictionary key must be a string');
  return key;
}

/** Booleans count as 0 and 1, as in Python. */
function numeric(value: ConfigValue): number | undefined {
  return typeof value === 'number' ? value : typeof value === 'boolean' ? Number(value) : undefined;
}

function unary(operator: '-' | '+' | 'not', operand: ConfigValue): ConfigValue {
  if (operator === 'not') return !isTrue(operand);
  const value = numeric(operand);
  if (value === undefined) throw new ExpressionError(`${operator} of ${describeValue(operand)}`);
  return operator === '-' ? -value : value;
}

function arithmetic(operator: string, left: ConfigValue, right: ConfigValue): ConfigValue {
  const [a, b] = [numeric(left), numeric(right)];
  if (a !== undefined && b !== undefined) return numberArithmetic(operator, a, b);
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return left + right;
    if (isList(left) && isList(right)) return [...left, ...right];
  }
  if (operator === '*' && isList(left) && b !== undefined) return repeated(left, b);
  if (operator === '*' && isList(right) && a !== undefined) return repeated(right, a);
  throw new ExpressionError(`${describeValue(left)} ${operator} ${describeValue(right)}`);
}

function numberArithmetic(operator: string, a: number, b: number): number {
  if ((operator === '/' || operator === '//' || operator === '%') && b === 0)
    throw new ExpressionError('division by zero');
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '//':
      return Math.floor(a / b);
    default:
      return a - b * Math.floor(a / b);
  }
}

function repeated(list: readonly ConfigValue[], count: number): ConfigValue[] {
  if (!Number.isInteger(count)) throw new ExpressionError('a list repeated by a fraction');
  if (list.length * count > maxLength) throw new ExpressionError(`the result is longer than ${maxLength}`);
  return Array.from({ length: Math.max(0, count) }, () => list).flat();
}

function comparison(
  first: ConfigValue,
  rest: readonly (readonly [string, Expression])[],
  evaluate: (node: Expression) => ConfigValue,
): boolean {
  let left = first;
  for (const [operator, node] of rest) {
    const right = evaluate(node);
    if (!compare(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function compare(operator: string, left: ConfigValue, right: ConfigValue): boolean {
  switch (operator) {
    case '==':
    case 'is':
      return equal(left, right);
    case '!=':
    case 'is not':
      return !equal(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
  }
  const [a, b] = [numeric(left) ?? left, numeric(right) ?? right];
  if (!((typeof a === 'number' && typeof b === 'number') || (typeof a === 'string' && typeof b === 'string')))
    throw new ExpressionError(`${describeValue(left)} ${operator} ${describeValue(right)}`);
  if (operator === '<') return a < b;
  if (operator === '>') return a > b;
  return operator === '<=' ? a <= b : a >= b;
}

function equal(left: ConfigValue, right: ConfigValue): boolean {
  if (isList(left) && isList(right))
    return left.length === right.length && left.every((item, n) => equal(item, right[n] as ConfigValue));
  if (left instanceof Constant && right instanceof Constant)
    return left.kind === right.kind && left.name === right.name;
  return (numeric(left) ?? left) === (numeric(right) ?? right);
}

function contains(container: ConfigValue, item: ConfigValue): boolean {
  if (isList(container)) return container.some((member) => equal(member, item));
  if (isDictionary(container)) return typeof item === 'string' && container.has(item);
  if (typeof container === 'string' && typeof item === 'string') return container.includes(item);
  throw new ExpressionError(`in ${describeValue(container)}`);
}

function subscript(of: ConfigValue, index: ConfigValue): ConfigValue {
  if (isDictionary(of) && typeof index === 'string') {
    const found = of.get(index);
    if (found !== undefined) return found;
    throw new ExpressionError(`no key ${describeValue(index)}`);
  }
  const at = numeric(index);
  if ((isList(of) || typeof of === 'string') && at !== undefined && Number.isInteger(at)) {
    const found = of.at(at);
    if (found !== undefined) return found;
    throw new ExpressionError(`index ${at} is out of range`);
  }
  throw new ExpressionError(`${describeValue(of)} with the subscript ${describeValue(index)}`);
}

function slice(of: ConfigValue, bounds: readonly ConfigValue[]): ConfigValue {
  const [from = null, to = null, step = null] = bounds;
  const valid = [from, to].every((bound) => bound === null || Number.isInteger(bound));
  if (!(isList(of) || typeof of === 'string') || !valid || (step !== null && step !== 1))
    throw new ExpressionError('only plain slices of lists and strings are supported');
  return of.slice((from ?? 0) as number, (to ?? undefined) as number | undefined);
}
