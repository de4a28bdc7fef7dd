import { describe, expect, it } from 'vitest';
import { type ConfigValue, Constant, Lambda } from '../../../src/monai/bundle/config-value.ts';
import { evaluateExpression } from '../../../src/monai/bundle/expression-evaluator.ts';
import { parseExpression } from '../../../src/monai/bundle/expression-parser.ts';
import { ExpressionError } from '../../../src/monai/bundle/expression-tokens.ts';

const refs: Readonly<Record<string, ConfigValue>> = {
  a: 3,
  b: [1, 2],
  'list::1': 'second',
  flag: false,
  name: 'pred',
  patch: 256,
};
const evaluate = (source: string): ConfigValue =>
  evaluateExpression(parseExpression(source), (id) => {
    const value = refs[id];
    if (value === undefined) throw new ExpressionError(`no ${id}`);
    return value;
  });

describe('bundle expressions', () => {
  it.each<[string, ConfigValue]>([
    ["@name + '/eval'", 'pred/eval'],
    ['@b + [@a, 4] + list(range(5, 8))', [1, 2, 3, 4, 5, 6, 7]],
    ['@list#1', 'second'],
    ['@list::1', 'second'],
    ['not @flag and @a > 2', true],
    ['@flag or @name', 'pred'],
    ['1.0 - float(164) / float(@patch)', 1 - 164 / 256],
    ['((@patch - 164) // 2,) * 4', [46, 46, 46, 46]],
    ['-7 // 2', -4],
    ['-7 % 3', 2],
    ['2 - -1', 3],
    ['[1.5, 1.5, 1.5] if @a == 3 else [3.0, 3.0, 3.0]', [1.5, 1.5, 1.5]],
    ['1 if @flag else @a if True else 0', 3],
    ['1 < 2 < 3', true],
    ['1 < 3 < 2', false],
    ['@b[0]', 1],
    ['@b[-1]', 2],
    ['@b[1:]', [2]],
    ["{'x': @a}['x']", 3],
    ["'a' in ['a', 'b']", true],
    ["'c' not in 'abd'", true],
    ['None is None', true],
    ['monai.utils.CommonKeys.IMAGE', 'image'],
    ["os.path.join(@name, 'x', '/y')", '/y'],
    ["os.path.join('a/', 'b')", 'a/b'],
    ['np.pi / 8', Math.PI / 8],
    ['len(@b)', 2],
    ['[]', []],
    ['()', []],
    ["'it\\'s'", "it's"],
    ['1_000', 1000],
    ['.5e1', 5],
    ['@patch[0] if False else 1', 1],
  ])('%s', (source, expected) => {
    expect(evaluate(source)).toEqual(expected);
  });

  it('knows devices and element types as constants', () => {
    const device = evaluate("torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')");
    expect(device).toEqual(new Constant('device', 'cpu'));
    expect(evaluate('numpy.float32')).toEqual(new Constant('dtype', 'float32'));
    expect(evaluate('torch.float')).toEqual(new Constant('dtype', 'float32'));
    expect(evaluate('np.uint8')).toEqual(new Constant('dtype', 'uint8'));
  });

  it('keeps a lambda as what it is, without running it', () => {
    const lambda = evaluate('lambda x: unknown(x)');
    expect(lambda).toBeInstanceOf(Lambda);
    expect((lambda as Lambda).parameter).toBe('x');
  });

  it.each([
    "__import__('os').system('id')",
    '().__class__.__mro__',
    "open('/etc/passwd')",
    'eval("1")',
    'lambda x, y: x',
    'lambda: 1',
    "json.loads(pathlib.Path('/etc/passwd').read_text())",
    "pathlib.Path('x').unlink()",
    "json.loads('1')",
    'float(x=1)',
    '[i for i in range(3)]',
    '@a.__class__',
    '@name.to(1)',
    'a := 1',
    'monai.utils.set_determinism(seed=1)',
    'constructor',
    '__proto__',
    'toString()',
    '2 ** 99999',
    "@name['length']",
    '1 / 0',
    '1 +',
    "'open",
    '@missing',
    '[1] * 1000000',
    "'a' * 3",
    'range(10000000)',
    '`1`',
    '1; 2',
    '{1: 2}',
  ])('refuses %s', (source) => {
    expect(() => evaluate(source)).toThrow(ExpressionError);
  });

  it('bounds length and depth, in linear time', () => {
    expect(() => evaluate(`${'('.repeat(2000)}1${')'.repeat(2000)}`)).toThrow(/deeper/);
    expect(() => evaluate('1'.repeat(5000))).toThrow(/longer/);
    expect(() => evaluate(`'${'\\'.repeat(4000)}`)).toThrow(ExpressionError);
    expect(() => evaluate(`${'not '.repeat(1000)}1`)).not.toThrow();
  });
});
