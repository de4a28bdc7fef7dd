/** A piece of a `$` expression. `ref` is `@id`, `@id#sub` or `@id::sub`, its separators as `::`. */
export interface Token {
  readonly kind: 'number' | 'string' | 'name' | 'ref' | 'operator' | 'end';
  readonly text: string;
  readonly at: number;
}

/** A malformed or unsupported expression; the caller adds file and place. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
}

// Each alternative is anchored and free of nested repetition: time is linear in the length.
const patterns: readonly [Token['kind'] | 'space', RegExp][] = [
  ['space', /[ \t\r\n]+/y],
  ['ref', /@(?:::|#)*\w*(?:(?:::|#)\w+)*/y],
  ['number', /(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['name', /[A-Za-z_]\w*/y],
  ['string', /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/y],
  ['operator', /\/\/|==|!=|<=|>=|[-+*/%()[\]{},:.<>=]/y],
];

/** Splits an expression (without its leading `$`) into tokens, closed by an `end`. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const start = at;
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = start;
      const text = pattern.exec(source)?.[0];
      if (text === undefined) continue;
      if (kind !== 'space') tokens.push({ kind, text, at: start });
      at = start + text.length;
      break;
    }
    if (at === start) throw new ExpressionError(`unexpected character at position ${start + 1}`);
  }
  return [...tokens, { kind: 'end', text: '', at }];
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\', "'": "'", '"': '"' };

/** Content of a string token. */
export function stringContent(text: string): string {
  return text.slice(1, -1).replace(/\\(.)/g, (whole, letter: string) => {
    const character = escapes[letter];
    if (character === undefined) throw new ExpressionError(`the escape ${whole} is not supported`);
    return character;
  });
}
