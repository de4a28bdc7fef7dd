import type { BinaryOperator, UnaryOperator, VoxelExpression } from '../../compute/kernels/voxel-expression-task.ts';
import { type ConfigValue, Lambda } from '../bundle/config-value.ts';
import type { Expression } from '../bundle/expression-parser.ts';
import { ExpressionError } from '../bundle/expression-tokens.ts';

/** Most channels that a function may give. */
const maxChannels = 1024;
const largestFloat = 3.4028234663852886e38;

/** The lambda that a value is. */
export const voxelFunction = (value: ConfigValue | undefined): Lambda | undefined =>
  value instanceof Lambda ? value : undefined;

/** A channel that an image does not have; known only when the image is there. */
export class MissingChannel extends Error {
  override readonly name = 'MissingChannel';
}

/**
 * The channels of a lambda's result over an image of `channels` channels: a closed set of what torch and numpy can do
 * voxel by voxel, with selections of channels (`x[1:]`, `x[[2]]`).
 *
 * @throws ExpressionError outside that set
 * @throws MissingChannel
 */
export function voxelExpressions({ parameter, body }: Lambda, channels: number): VoxelExpression[] {
  const expand = (node: Expression): VoxelExpression[] => {
    switch (node.kind) {
      case 'literal':
        if (typeof node.value !== 'number') break;
        return [{ kind: 'number', value: node.value }];
      case 'name':
        if (node.name !== parameter) break;
        return all(channels);
      case 'subscript':
        return selected(expand(node.of), node.index);
      case 'slice':
        return sliced(expand(node.of), node.bounds);
      case 'unary':
        if (node.operator === 'not') break;
        return node.operator === '-' ? each(expand(node.operand), (operand) => minus(operand)) : expand(node.operand);
      case 'binary':
        if (!isOneOf(node.operator, arithmetic)) break;
        return both(node.operator, expand(node.left), expand(node.right));
      case 'comparison': {
        const [rest] = node.rest;
        if (!rest || node.rest.length !== 1 || !isOneOf(rest[0], comparisons)) break;
        return both(rest[0], expand(node.first), expand(rest[1]));
      }
      case 'call':
        return called(node, expand);
    }
    throw new ExpressionError(`a lambda may not hold ${describe(node)}`);
  };
  const result = expand(body);
  if (result.length > maxChannels) throw new ExpressionError('the lambda gives too many channels');
  return result;
}

const arithmetic = ['+', '-', '*', '/'] as const;
const comparisons = ['>', '>=', '<', '<=', '==', '!='] as const;
const functionsOfOne = ['abs', 'exp', 'sqrt', 'round'] as const;

const isOneOf = <T extends string>(text: string, options: readonly T[]): text is T =>
  (options as readonly string[]).includes(text);

const all = (channels: number): VoxelExpression[] =>
  Array.from({ length: channels }, (_, channel) => ({ kind: 'channel', channel }));

const each = (list: readonly VoxelExpression[], make: (item: VoxelExpression) => VoxelExpression): VoxelExpression[] =>
  list.map(make);

const minus = (operand: VoxelExpression): VoxelExpression =>
  operand.kind === 'number' ? { kind: 'number', value: -operand.value } : unary('-', operand);

const unary = (operator: UnaryOperator, operand: VoxelExpression): VoxelExpression => ({
  kind: 'unary',
  operator,
  operand,
});

/** Channel by channel; one channel goes with each of the others (broadcasting). */
function together(lists: readonly (readonly VoxelExpression[])[]): VoxelExpression[][] {
  const count = Math.max(...lists.map((list) => list.length));
  if (lists.some((list) => list.length !== 1 && list.length !== count))
    throw new ExpressionError('the lambda puts images of different channels together');
  return Array.from({ length: count }, (_, n) =>
    lists.map((list) => (list.length === 1 ? list[0] : list[n]) as VoxelExpression),
  );
}

const both = (
  operator: BinaryOperator,
  left: readonly VoxelExpression[],
  right: readonly VoxelExpression[],
): VoxelExpression[] =>
  together([left, right]).map(([a, b]) => ({
    kind: 'binary',
    operator,
    left: a as VoxelExpression,
    right: b as VoxelExpression,
  }));

/** `x[[0, 2]]`: these channels. `x[0]` would take the channel axis away. */
function selected(list: readonly VoxelExpression[], index: Expression): VoxelExpression[] {
  if (index.kind !== 'list') throw new ExpressionError('channels are selected by x[[…]] or x[a:b] only');
  return index.items.map((item) => {
    const at = wholeNumber(item);
    const found = list.at(at);
    if (!found) throw new MissingChannel(`There is no channel ${at}.`);
    return found;
  });
}

function sliced(list: readonly VoxelExpression[], bounds: readonly (Expression | undefined)[]): VoxelExpression[] {
  const [from, to, step] = bounds.map((bound) => (bound === undefined ? undefined : wholeNumber(bound)));
  if (step !== undefined && step !== 1) throw new ExpressionError('only plain slices of channels are supported');
  const found = list.slice(from ?? 0, to);
  if (found.length === 0) throw new MissingChannel('The slice is empty.');
  return found;
}

function wholeNumber(node: Expression): number {
  const isMinus = node.kind === 'unary' && node.operator === '-';
  const literal = isMinus ? node.operand : node;
  if (literal.kind !== 'literal' || !Number.isInteger(literal.value))
    throw new ExpressionError('a channel must be a whole number');
  return (isMinus ? -1 : 1) * (literal.value as number);
}

function called(
  node: Extract<Expression, { kind: 'call' }>,
  expand: (node: Expression) => VoxelExpression[],
): VoxelExpression[] {
  const name = /^(?:torch|np|numpy)\.(\w+)$/.exec(node.name)?.[1] ?? '';
  const args = node.args.map(expand);
  const [first, second, third] = args as [VoxelExpression[]?, VoxelExpression[]?, VoxelExpression[]?];
  if (name === 'where' && first && second && third && args.length === 3 && node.keywords.size === 0)
    return together([first, second, third]).map(
      ([test, yes, no]) => ({ kind: 'where', test, yes, no }) as VoxelExpression,
    );
  if (isOneOf(name, functionsOfOne) && first && args.length === 1 && node.keywords.size === 0)
    return each(first, (operand) => unary(name, operand));
  if (name === 'nan_to_num' && first && args.length === 1) {
    const given = keywordNumbers(node, ['nan', 'posinf', 'neginf']);
    const infinity = given.posinf ?? largestFloat;
    const minusInfinity = given.neginf ?? -largestFloat;
    return each(first, (operand) => ({ kind: 'replaced', operand, nan: given.nan ?? 0, infinity, minusInfinity }));
  }
  if ((name === 'clamp' || name === 'clip') && first && args.length === 1) {
    const { min, max } = keywordNumbers(node, ['min', 'max']);
    const floor = min === undefined ? first : both('maximum', first, [{ kind: 'number', value: min }]);
    return max === undefined ? floor : both('minimum', floor, [{ kind: 'number', value: max }]);
  }
  if ((name === 'clamp' || name === 'clip') && first && second && third && args.length === 3)
    return both('minimum', both('maximum', first, second), third);
  throw new ExpressionError(`a lambda may not call ${node.name.slice(0, 60)} so`);
}

function keywordNumbers<T extends string>(
  node: Extract<Expression, { kind: 'call' }>,
  names: readonly T[],
): Partial<Record<T, number>> {
  const found: Partial<Record<T, number>> = {};
  for (const [name, value] of node.keywords) {
    const isMinus = value.kind === 'unary' && value.operator === '-';
    const literal = isMinus ? value.operand : value;
    if (!isOneOf(name, names) || literal.kind !== 'literal' || typeof literal.value !== 'number')
      throw new ExpressionError(`${node.name.slice(0, 60)} with '${name.slice(0, 40)}='`);
    found[name] = (isMinus ? -1 : 1) * literal.value;
  }
  return found;
}

function describe(node: Expression): string {
  if (node.kind === 'name') return `the name '${node.name.slice(0, 60)}'`;
  if (node.kind === 'ref') return 'a reference';
  return node.kind === 'literal' ? 'this literal' : `a ${node.kind}`;
}

/** The largest value, when all that an expression can give are whole numbers that are not negative. */
export function largestLabel(expression: VoxelExpression): number | undefined {
  switch (expression.kind) {
    case 'number':
      return Number.isInteger(expression.value) && expression.value >= 0 ? expression.value : undefined;
    case 'where': {
      const [yes, no] = [largestLabel(expression.yes), largestLabel(expression.no)];
      return yes === undefined || no === undefined ? undefined : Math.max(yes, no);
    }
    case 'binary':
      return isOneOf(expression.operator, comparisons) ? 1 : undefined;
    default:
      return undefined;
  }
}
