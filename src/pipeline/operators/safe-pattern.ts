import { EndpointError } from '../../errors.ts';

/**
 * Regular expressions of series rules, matched in time linear in the text: rules come with a model archive, and a
 * backtracking engine can be kept busy for years by a short pattern. The grammar is the part of Python's `re` that rules
 * use: literals, `.`, classes, `\d \w \s` and their opposites, groups, `|`, `* + ? {m,n}` (also lazy: the same here,
 * where only "does it match" counts), `^ $ \b \B`, and a leading `(?i)`. Letters match in either case.
 */
export interface SafePattern {
  /** Python's `re.search`: a match anywhere. */
  search(text: string): boolean;
  /** Python's `re.fullmatch`: the whole text. */
  fullMatch(text: string): boolean;
}

type CharTest = (char: string) => boolean;

/** States of the automaton (Thompson): `test` consumes a character, `assert` looks at a place, `split` forks. */
type State =
  | { kind: 'test'; test: CharTest; next: number }
  | { kind: 'assert'; holds: (text: string, at: number) => boolean; next: number }
  | { kind: 'split'; to: number[] }
  | { kind: 'match' };

const maxPatternLength = 256;
const maxStates = 4_000;
const maxRepeat = 100;

type Node =
  | { type: 'test'; test: CharTest }
  | { type: 'assert'; holds: (text: string, at: number) => boolean }
  | { type: 'sequence'; nodes: Node[] }
  | { type: 'choice'; nodes: Node[] }
  | { type: 'repeat'; node: Node; min: number; max: number };

/**
 * Compiles a pattern.
 *
 * @throws EndpointError `unsupported_bundle` for a pattern outside the grammar or its limits
 */
export function compileSafePattern(source: string): SafePattern {
  if (source.length > maxPatternLength) throw refused(`is longer than ${maxPatternLength} characters`);
  const parser = new PatternParser(source.replace(/^\(\?i\)/, ''));
  const states = new Assembler().assemble(parser.parse());
  return {
    search: (text) => simulate(states, text, false),
    fullMatch: (text) => simulate(states, text, true),
  };
}

function refused(reason: string): EndpointError {
  return new EndpointError('unsupported_bundle', `A pattern of the series rules in map.json ${reason}.`);
}

function simulate(states: readonly State[], text: string, whole: boolean): boolean {
  const chars = text.slice(0, 10_240);
  let current = new Set<number>();
  const follow = (state: number, at: number, into: Set<number>): void => {
    const stack = [state];
    while (stack.length > 0) {
      const index = stack.pop() as number;
      if (into.has(index)) continue;
      into.add(index);
      const found = states[index] as State;
      if (found.kind === 'split') stack.push(...found.to);
      else if (found.kind === 'assert' && found.holds(chars, at)) stack.push(found.next);
    }
  };
  const matched = () => [...current].some((index) => states[index]?.kind === 'match');
  for (let at = 0; at <= chars.length; at++) {
    if (at === 0 || !whole) follow(0, at, current);
    if (matched() && (!whole || at === chars.length)) return true;
    if (at === chars.length) break;
    const next = new Set<number>();
    for (const index of current) {
      const state = states[index] as State;
      if (state.kind === 'test' && state.test(chars[at] as string)) follow(state.next, at + 1, next);
    }
    current = next;
  }
  return false;
}

class Assembler {
  readonly #states: State[] = [];

  assemble(node: Node): State[] {
    // State 0 only leads to the start, so that the simulation needs not know where that is.
    this.#push({ kind: 'split', to: [] });
    const match = this.#push({ kind: 'match' });
    (this.#states[0] as { to: number[] }).to.push(this.#add(node, match));
    return this.#states;
  }

  #push(state: State): number {
    if (this.#states.length >= maxStates) throw refused('is too large with its repetitions written out');
    return this.#states.push(state) - 1;
  }

  /** Adds the states of a node in front of `next`; gives its first state. */
  #add(node: Node, next: number): number {
    switch (node.type) {
      case 'test':
        return this.#push({ kind: 'test', test: node.test, next });
      case 'assert':
        return this.#push({ kind: 'assert', holds: node.holds, next });
      case 'sequence':
        return node.nodes.reduceRight((behind, child) => this.#add(child, behind), next);
      case 'choice':
        return this.#push({ kind: 'split', to: node.nodes.map((child) => this.#add(child, next)) });
      case 'repeat':
        return this.#addRepeat(node.node, node.min, node.max, next);
    }
  }

  #addRepeat(node: Node, min: number, max: number, next: number): number {
    let entry = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#push({ kind: 'split', to: [next] });
      (this.#states[loop] as { to: number[] }).to.push(this.#add(node, loop));
      entry = loop;
    } else {
      for (let count = min; count < max; count++) {
        entry = this.#push({ kind: 'split', to: [next, this.#add(node, entry)] });
      }
    }
    for (let count = 0; count < min; count++) entry = this.#add(node, entry);
    return entry;
  }
}

const isWord = (char: string | undefined): boolean => char !== undefined && /[\p{L}\p{N}_]/u.test(char);
const wordBoundary = (text: string, at: number): boolean => isWord(text[at - 1]) !== isWord(text[at]);

const classes: Readonly<Record<string, CharTest>> = {
  d: (char) => /\p{Nd}/u.test(char),
  w: isWord,
  s: (char) => /\s/.test(char),
  D: (char) => !/\p{Nd}/u.test(char),
  W: (char) => !isWord(char),
  S: (char) => !/\s/.test(char),
};
const controls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v' };

class PatternParser {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Node {
    const node = this.#choice(0);
    if (this.#at < this.#source.length) throw refused('has a ")" without a "("');
    return node;
  }

  #choice(depth: number): Node {
    if (depth > 20) throw refused('is nested too deeply');
    const nodes = [this.#sequence(depth)];
    while (this.#take('|')) nodes.push(this.#sequence(depth));
    return nodes.length === 1 ? (nodes[0] as Node) : { type: 'choice', nodes };
  }

  #sequence(depth: number): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at] as string)) {
      nodes.push(this.#repeated(this.#atom(depth)));
    }
    return { type: 'sequence', nodes };
  }

  #repeated(node: Node): Node {
    const bounds = this.#bounds();
    if (!bounds) return node;
    this.#take('?');
    if (this.#bounds()) throw refused('repeats a repetition');
    return { type: 'repeat', node, ...bounds };
  }

  #bounds(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('?')) return { min: 0, max: 1 };
    const counted = /^\{(\d*)(,?)(\d*)\}/.exec(this.#source.slice(this.#at));
    if (!counted || counted[0] === '{}' || counted[0] === '{,}') return undefined;
    this.#at += counted[0].length;
    const min = Number(counted[1] || 0);
    const max = counted[2] === '' ? min : counted[3] === '' ? Number.POSITIVE_INFINITY : Number(counted[3]);
    if (min > maxRepeat || (max > maxRepeat && max !== Number.POSITIVE_INFINITY) || max < min) {
      throw refused(`has a repetition outside 0 to ${maxRepeat}`);
    }
    return { min, max };
  }

  #atom(depth: number): Node {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group(depth);
      case '[':
        return { type: 'test', test: this.#characterClass() };
      case '.':
        return { type: 'test', test: (one) => one !== '\n' };
      case '^':
        return { type: 'assert', holds: (_text, at) => at === 0 };
      case '$':
        return {
          type: 'assert',
          holds: (text, at) => at === text.length || (at === text.length - 1 && text[at] === '\n'),
        };
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw refused('has a repetition of nothing');
      default:
        return { type: 'test', test: sameLetter(char) };
    }
  }

  #group(depth: number): Node {
    if (this.#take('?') && !this.#take(':')) throw refused('uses a group other than (…) and (?:…)');
    const node = this.#choice(depth + 1);
    if (!this.#take(')')) throw refused('has a "(" without a ")"');
    return node;
  }

  #escape(): Node {
    const char = this.#next();
    if (char === 'b') return { type: 'assert', holds: wordBoundary };
    if (char === 'B') return { type: 'assert', holds: (text, at) => !wordBoundary(text, at) };
    const known = classes[char];
    if (known) return { type: 'test', test: known };
    return { type: 'test', test: sameLetter(this.#literal(char)) };
  }

  /** The character that an escape stands for; letters and digits without a meaning here (back references) are refused. */
  #literal(char: string): string {
    const control = controls[char];
    if (control !== undefined) return control;
    if (/[A-Za-z0-9]/.test(char)) throw refused(`uses \\${char}, which is not supported`);
    return char;
  }

  #characterClass(): CharTest {
    const negated = this.#take('^');
    const tests: CharTest[] = [];
    for (let first = true; ; first = false) {
      let char = this.#next();
      if (char === ']' && !first) break;
      if (char === '\\') {
        char = this.#next();
        const known = classes[char];
        if (known) {
          tests.push(known);
          continue;
        }
        char = this.#literal(char);
      }
      tests.push(this.#range(char));
    }
    return (char) => tests.some((test) => test(char)) !== negated;
  }

  #range(from: string): CharTest {
    const rest = this.#source.slice(this.#at, this.#at + 2);
    if (rest[0] !== '-' || rest[1] === ']' || rest.length < 2) return sameLetter(from);
    this.#at += 1;
    const to = this.#next() === '\\' ? this.#literal(this.#next()) : (this.#source[this.#at - 1] as string);
    if (to < from) throw refused('has a range that runs backwards');
    const within = (char: string) => char >= from && char <= to;
    return (char) => within(char) || within(char.toLowerCase()) || within(char.toUpperCase());
  }

  #next(): string {
    const char = this.#source[this.#at];
    if (char === undefined) throw refused('ends too early');
    this.#at += 1;
    return char;
  }

  #take(char: string): boolean {
    if (this.#source[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }
}

function sameLetter(letter: string): CharTest {
  const lower = letter.toLowerCase();
  return (char) => char === letter || char.toLowerCase() === lower;
}
