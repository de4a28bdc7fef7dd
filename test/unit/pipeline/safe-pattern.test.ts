import { describe, expect, it } from 'vitest';
import { compileSafePattern } from '../../../src/pipeline/operators/safe-pattern.ts';

const patterns = [
  'abc',
  'a.c',
  '^abc$',
  '^$',
  'a*',
  'a+b',
  'ab?c',
  'a{2}',
  'a{2,3}b',
  'a{2,}',
  '(ab)+c',
  '(a|b|cd)*e',
  '[abc]+',
  '[^abc]',
  '[a-c]x',
  '[]a]',
  '[a-]',
  '\\d+',
  '\\w+\\s\\w+',
  '\\D',
  '\\bthe\\b',
  '\\Bx',
  'a|^b|c$',
  '(?:x|y){2}',
  'T1.*(GD|gad)',
  '3\\.0',
  '\\[x\\]',
  'a*?b',
  '',
  '()',
  '(|a)b',
  'x{0}y',
  '\\t',
  '[\\d.]+mm',
  '[\\]x]',
];
const texts = [
  '',
  'abc',
  'ABC',
  'aXc',
  'aab',
  'aaab',
  'b',
  'xabcx',
  'cdcde',
  'ababc',
  'the x',
  'other',
  'T1 ax +GAD',
  '3.0',
  '340',
  '[x]',
  'xyxy',
  'y',
  '1.25mm',
  'a\nb',
  '-',
  ']',
  '\t',
  'a_1 b',
];

describe('compileSafePattern', () => {
  it.each(patterns)('agrees with a backtracking engine on %j', (pattern) => {
    const safe = compileSafePattern(pattern);
    for (const text of texts) {
      // Python's "[]a]" holds a bracket; in JavaScript that needs an escape.
      const source = pattern.replace('[]a]', '[\\]a]');
      expect([text, safe.search(text)]).toEqual([text, new RegExp(source, 'i').test(text)]);
      expect([text, safe.fullMatch(text)]).toEqual([text, new RegExp(`^(?:${source})$`, 'i').test(text)]);
    }
  });

  it.each(['(a+)+$', '(a|a)*b', '(a*)*b', '(.*.*)*x', '(a|aa)+$', '(?:a?){100}a{100}', '.*.*.*.*.*.*.*.*x'])(
    'answers %j on a hostile text at once',
    (pattern) => {
      const start = performance.now();
      compileSafePattern(pattern).search(`${'a'.repeat(2_000)}!`);
      expect(performance.now() - start).toBeLessThan(5_000);
    },
  );

  it.each([
    '(',
    ')',
    '[a',
    'a**',
    '*a',
    'a{2}{3}',
    '\\1',
    '(?<n>a)',
    '(?!a)',
    '\\p{L}',
    'a{3,2}',
    'a{999}',
    '[z-a]',
    '(((a{90}){90}){90})',
    'x'.repeat(257),
    '\\',
  ])('refuses %j', (pattern) => {
    expect(() => compileSafePattern(pattern)).toThrowError(expect.objectContaining({ code: 'unsupported_bundle' }));
  });
});
