import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { ConfigDocument } from '../../../src/monai/bundle/config-document.ts';
import { parseConfig } from '../../../src/monai/bundle/config-file.ts';
import { Component } from '../../../src/monai/bundle/config-value.ts';

const file = 'configs/inference.json';
const open = (content: unknown): ConfigDocument => new ConfigDocument(parseConfig(JSON.stringify(content), file), file);

function refusal(run: () => unknown): EndpointError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof EndpointError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was refused');
}

describe('ConfigDocument', () => {
  it('resolves references by # and ::, relative ones, and chains', () => {
    const document = open({
      a: { list: [10, { deep: '@c' }], sibling: '@::list::0', parent: '@::::c' },
      c: '$@d + 1',
      d: 4,
      text: 'me@example',
    });
    expect(document.resolve('a#list#1#deep')).toBe(5);
    expect(document.resolve('a::sibling')).toBe(10);
    expect(document.resolve('a#parent')).toBe(5);
    expect(document.resolve('text')).toBe('me@example');
  });

  it('evaluates what is asked for and nothing else', () => {
    const document = open({
      run: ['$@evaluator.run()'],
      imports: ['$import os'],
      initialize: "$__import__('os').abort()",
      used: '@value',
      value: 1,
    });
    expect(document.resolve('used')).toBe(1);
    expect(refusal(() => document.resolve('run')).code).toBe('unsupported_bundle');
  });

  it('gives the same component each time, with arguments evaluated when they are asked for', () => {
    const document = open({
      x: { _target_: 'Compose', transforms: [], bad: '$nothing()' },
      y: '@x',
      z: '$copy.deepcopy(@x)',
    });
    const component = document.resolve('x') as Component;
    expect(document.resolve('y')).toBe(component);
    expect(document.resolve('z')).toBe(component);
    expect(component.argument('transforms')).toEqual([]);
    expect(() => component.argument('bad')).toThrow(/nothing/);
    expect(component.argument('other')).toBeUndefined();
  });

  it('drops disabled components, whatever says so', () => {
    const off = (disabled: unknown) => ({ _target_: 'A', _disabled_: disabled });
    const document = open({
      yes: true,
      list: [off(true), off('@yes'), off('$not @yes'), off('true'), off('no'), off(false), 1],
    });
    const list = document.resolve('list') as unknown[];
    expect(list.filter((item) => item instanceof Component)).toHaveLength(3);
    expect(list).toHaveLength(4);
  });

  it.each<[string, unknown, RegExp]>([
    ['a cycle', { x: '@y', y: '$[@x]' }, /leads back to itself/],
    ['a cycle through itself', { x: { y: '@x' } }, /leads back to itself/],
    ['a missing reference', { x: '@nowhere#1' }, /@nowhere#1|@nowhere::1/],
    ['an index that is none', { x: '@l#first', l: [1] }, /not in the configuration/],
    ['a macro', { x: '%y', y: 1 }, /Macros/],
    ['a relative reference that leaves the document', { x: '@::::::y' }, /leaves the document/],
    ['_requires_', { x: { _target_: 'A', _requires_: '$1' } }, /_requires_/],
    ['_mode_', { x: { _target_: 'A', _mode_: 'callable' } }, /_mode_/],
    ['a target that is no name', { x: { _target_: ['A'] } }, /_target_/],
  ])('refuses %s, with file and place', (_, content, message) => {
    const error = refusal(() => open(content).resolve('x'));
    expect(error.code).toBe('unsupported_bundle');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(file);
    expect(error.details?.place).toBeTypeOf('string');
  });

  it('stops references that multiply, in lists, expressions and YAML aliases', () => {
    const levels = Array.from({ length: 40 }, (_, n) => [`l${n}`, [`@l${n + 1}`, `@l${n + 1}`]]);
    expect(refusal(() => open({ ...Object.fromEntries(levels), l40: [1] }).resolve('l0')).message).toMatch(/too large/);
    const sums = Array.from({ length: 40 }, (_, n) => [`l${n}`, `$@l${n + 1} + @l${n + 1}`]);
    expect(refusal(() => open({ ...Object.fromEntries(sums), l40: [1] }).resolve('l0')).message).toMatch(/longer/);
    const aliases = Array.from(
      { length: 12 },
      (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(', ')}]`,
    );
    const yaml = `l0: &l0 [x]\n${aliases.join('\n')}\n`;
    expect(refusal(() => parseConfig(yaml, 'configs/inference.yaml')).code).toBe('unsupported_bundle');
  });

  it('stops chains deeper than any bundle has', () => {
    const chain = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`l${n}`, `@l${n + 1}`]));
    expect(refusal(() => open({ ...chain, l500: 1 }).resolve('l0')).message).toMatch(/deeper/);
    const nested = '['.repeat(100_000) + ']'.repeat(100_000);
    expect(refusal(() => parseConfig(`{"a": ${nested}}`, file)).code).toBe('unsupported_bundle');
    expect(refusal(() => parseConfig(`a: ${nested}`, 'configs/inference.yaml')).code).toBe('unsupported_bundle');
  });

  it('keeps a key __proto__ a key', () => {
    const document = new ConfigDocument(parseConfig('{"__proto__": {"polluted": 1}, "x": "@polluted"}', file), file);
    expect(() => document.resolve('x')).toThrow(/not in the configuration/);
    expect(document.resolve('__proto__#polluted')).toBe(1);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each([
    ['{"a": ', file],
    ['[1]', file],
    ['a: [', 'configs/inference.yaml'],
    ['- 1', 'configs/inference.yaml'],
  ])('refuses the document %s', (text, name) => {
    expect(refusal(() => parseConfig(text, name)).code).toBe('unsupported_bundle');
  });
});
