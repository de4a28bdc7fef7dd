import { ExpressionError, stringContent, type Token, tokenize } from './expression-tokens.ts';

/** Syntax tree of a `$` expression: a closed subset of Python's expressions. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: null | boolean | number | string }
  | { readonly kind: 'ref'; readonly id: string }
  | { readonly kind: 'name'; readonly name: string }
  | {
      readonly kind: 'call';
      readonly name: string;
      readonly args: readonly Expression[];
      readonly keywords: ReadonlyMap<string, Expression>;
    }
  | {
      readonly kind: 'method';
      readonly of: Expression;
      readonly name: string;
      readonly args: readonly Expression[];
      readonly keywords: ReadonlyMap<string, Expression>;
    }
  | { readonly kind: 'lambda'; readonly parameter: string; readonly body: Expression }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'dictionary'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'unary'; readonly operator: '-' | '+' | 'not'; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'comparison';
      readonly first: Expression;
      readonly rest: readonly (readonly [string, Expression])[];
    }
  | { readonly kind: 'both'; readonly operator: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'choice'; readonly test: Expression; readonly yes: Expression; readonly no: Expression }
  | { readonly kind: 'subscript'; readonly of: Expression; readonly index: Expression }
  | { readonly kind: 'slice'; readonly of: Expression; readonly bounds: readonly (Expression | undefined)[] };

const maxLength = 4096;
const maxDepth = 64;

/** Parses an expression without its leading `$`. */
export function parseExpression(source: string): Expression {
  if (source.length > maxLength) throw new ExpressionError(`longer than ${maxLength} characters`);
  const parser = new Parser(tokenize(source));
  const expression = parser.ternary();
  parser.expectEnd();
  return expression;
}

class Parser {
  readonly #tokens: readonly Token[];
  #position = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  expectEnd(): void {
    if (this.#next.kind !== 'end') throw this.#unexpected();
  }

  ternary(): Expression {
    if (++this.#depth > maxDepth) throw new ExpressionError(`nested deeper than ${maxDepth}`);
    if (this.#take('name', 'lambda')) {
      const lambda = this.#lambda();
      this.#depth--;
      return lambda;
    }
    const yes = this.#or();
    if (!this.#take('name', 'if')) {
      this.#depth--;
      return yes;
    }
    const test = this.#or();
    this.#expect('name', 'else');
    const no = this.ternary();
    this.#depth--;
    return { kind: 'choice', test, yes, no };
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#take('name', 'or')) left = { kind: 'both', operator: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#take('name', 'and')) left = { kind: 'both', operator: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    let negations = 0;
    while (this.#take('name', 'not')) negations++;
    let operand = this.#comparison();
    for (; negations > 0; negations--) operand = { kind: 'unary', operator: 'not', operand };
    return operand;
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: (readonly [string, Expression])[] = [];
    for (let operator = this.#comparator(); operator !== undefined; operator = this.#comparator()) {
      rest.push([operator, this.#sum()]);
    }
    return rest.length === 0 ? first : { kind: 'comparison', first, rest };
  }

  #comparator(): string | undefined {
    for (const symbol of ['==', '!=', '<=', '>=', '<', '>']) if (this.#take('operator', symbol)) return symbol;
    if (this.#take('name', 'in')) return 'in';
    if (this.#take('name', 'is')) return this.#take('name', 'not') ? 'is not' : 'is';
    if (this.#next.text === 'not' && this.#tokens[this.#position + 1]?.text === 'in') {
      this.#position += 2;
      return 'not in';
    }
    return undefined;
  }

  #sum(): Expression {
    let left = this.#product();
    for (;;) {
      const operator = ['+', '-'].find((symbol) => this.#take('operator', symbol));
      if (operator === undefined) return left;
      left = { kind: 'binary', operator, left, right: this.#product() };
    }
  }

  #product(): Expression {
    let left = this.#signed();
    for (;;) {
      const operator = ['*', '//', '/', '%'].find((symbol) => this.#take('operator', symbol));
      if (operator === undefined) return left;
      left = { kind: 'binary', operator, left, right: this.#signed() };
    }
  }

  #signed(): Expression {
    let signs = '';
    for (;;) {
      if (this.#take('operator', '-')) signs += '-';
      else if (this.#take('operator', '+')) signs += '+';
      else break;
    }
    let operand = this.#postfix();
    for (const sign of [...signs].reverse()) operand = { kind: 'unary', operator: sign as '-' | '+', operand };
    return operand;
  }

  #postfix(): Expression {
    let expression = this.#atom();
    for (;;) {
      if (this.#take('operator', '[')) expression = this.#subscript(expression);
      else if (this.#isPath(expression) && this.#take('operator', '.')) expression = this.#pathContent(expression);
      else if (expression.kind === 'ref' && this.#take('operator', '.')) expression = this.#method(expression);
      else if (this.#next.text === '.' || this.#next.text === '(') {
        throw new ExpressionError('attributes and calls are supported on the listed names only');
      } else return expression;
    }
  }

  #isPath(expression: Expression): expression is Extract<Expression, { kind: 'call' }> {
    return expression.kind === 'call' && (expression.name === 'pathlib.Path' || expression.name === 'Path');
  }

  /** `pathlib.Path(p).read_text()` as one call. */
  #pathContent(path: Extract<Expression, { kind: 'call' }>): Expression {
    if (!this.#take('name', 'read_text')) throw this.#unexpected();
    this.#expect('operator', '(');
    this.#expect('operator', ')');
    return { ...path, name: 'pathlib.Path.read_text' };
  }

  /** `@detector.set_target_keys(…)`: of references only. */
  #method(of: Expression): Expression {
    const { kind, text } = this.#next;
    if (kind !== 'name') throw this.#unexpected();
    this.#position++;
    this.#expect('operator', '(');
    const { args, keywords } = this.#arguments();
    return { kind: 'method', of, name: text, args, keywords };
  }

  #subscript(of: Expression): Expression {
    const bounds: (Expression | undefined)[] = [];
    let isSlice = false;
    let current: Expression | undefined;
    for (;;) {
      if (this.#take('operator', ']')) break;
      if (this.#take('operator', ':')) {
        isSlice = true;
        bounds.push(current);
        current = undefined;
      } else if (current === undefined) current = this.ternary();
      else throw this.#unexpected();
    }
    bounds.push(current);
    if (isSlice && bounds.length <= 3) return { kind: 'slice', of, bounds };
    if (isSlice || current === undefined) throw new ExpressionError('malformed subscript');
    return { kind: 'subscript', of, index: current };
  }

  #atom(): Expression {
    const token = this.#next;
    this.#position++;
    switch (token.kind) {
      case 'number':
        return { kind: 'literal', value: Number(token.text.replaceAll('_', '')) };
      case 'string':
        return { kind: 'literal', value: stringContent(token.text) };
      case 'ref':
        return { kind: 'ref', id: token.text.slice(1).replaceAll('#', '::') };
      case 'name':
        return this.#name(token.text);
      case 'operator':
        if (token.text === '(') return this.#parenthesis();
        if (token.text === '[') return { kind: 'list', items: this.#items(']') };
        if (token.text === '{') return this.#dictionary();
    }
    this.#position--;
    throw this.#unexpected();
  }

  #name(first: string): Expression {
    if (first === 'True' || first === 'False') return { kind: 'literal', value: first === 'True' };
    if (first === 'None') return { kind: 'literal', value: null };
    let name = first;
    while (this.#take('operator', '.')) {
      if (this.#next.kind !== 'name') throw this.#unexpected();
      name += `.${this.#next.text}`;
      this.#position++;
    }
    return this.#take('operator', '(') ? this.#call(name) : { kind: 'name', name };
  }

  #call(name: string): Expression {
    return { kind: 'call', name, ...this.#arguments() };
  }

  #arguments(): { args: Expression[]; keywords: Map<string, Expression> } {
    const args: Expression[] = [];
    const keywords = new Map<string, Expression>();
    while (!this.#take('operator', ')')) {
      const keyword = this.#next;
      if (keyword.kind === 'name' && this.#tokens[this.#position + 1]?.text === '=') {
        this.#position += 2;
        if (keywords.has(keyword.text)) throw new ExpressionError(`'${keyword.text.slice(0, 40)}' is given twice`);
        keywords.set(keyword.text, this.ternary());
      } else if (keywords.size > 0) throw this.#unexpected();
      else args.push(this.ternary());
      if (this.#take('operator', ')')) break;
      this.#expect('operator', ',');
    }
    return { args, keywords };
  }

  /** `lambda x: body`, of one parameter. */
  #lambda(): Expression {
    const parameter = this.#next;
    if (parameter.kind !== 'name') throw new ExpressionError('only a lambda of one parameter is supported');
    this.#position++;
    if (!this.#take('operator', ':')) throw new ExpressionError('only a lambda of one parameter is supported');
    return { kind: 'lambda', parameter: parameter.text, body: this.ternary() };
  }

  /** `(a)` is a; `()`, `(a,)` and `(a, b)` are tuples, which are lists here. */
  #parenthesis(): Expression {
    if (this.#take('operator', ')')) return { kind: 'list', items: [] };
    const first = this.ternary();
    if (this.#take('operator', ')')) return first;
    this.#expect('operator', ',');
    return { kind: 'list', items: [first, ...this.#items(')')] };
  }

  #items(close: string): Expression[] {
    const items: Expression[] = [];
    while (!this.#take('operator', close)) {
      items.push(this.ternary());
      if (this.#take('operator', close)) break;
      this.#expect('operator', ',');
    }
    return items;
  }

  #dictionary(): Expression {
    const entries: (readonly [Expression, Expression])[] = [];
    while (!this.#take('operator', '}')) {
      const key = this.ternary();
      this.#expect('operator', ':');
      entries.push([key, this.ternary()]);
      if (this.#take('operator', '}')) break;
      this.#expect('operator', ',');
    }
    return { kind: 'dictionary', entries };
  }

  get #next(): Token {
    return this.#tokens[this.#position] as Token;
  }

  #take(kind: Token['kind'], text: string): boolean {
    if (this.#next.kind !== kind || this.#next.text !== text) return false;
    this.#position++;
    return true;
  }

  #expect(kind: Token['kind'], text: string): void {
    if (!this.#take(kind, text)) throw this.#unexpected();
  }

  #unexpected(): ExpressionError {
    const { kind, text, at } = this.#next;
    return new ExpressionError(`unexpected ${kind === 'end' ? 'end' : `'${text.slice(0, 40)}'`} at position ${at + 1}`);
  }
}
