import type { Expression } from './expression-parser.ts';

/**
 * A `_target_` of the configuration. Its arguments are evaluated when they are asked for: what it means, and whether it
 * is supported at all, is looked up first.
 */
export class Component {
  readonly target: string;
  readonly argumentNames: readonly string[];
  /** Where it stands in the document, `preprocessing#transforms#3`. */
  readonly place: string;
  readonly #evaluate: (name: string) => ConfigValue;

  constructor(
    target: string,
    argumentNames: readonly string[],
    place: string,
    evaluate: (name: string) => ConfigValue,
  ) {
    this.target = target;
    this.argumentNames = argumentNames;
    this.place = place;
    this.#evaluate = evaluate;
  }

  /** Value of an argument, `undefined` when it is not given. */
  argument(name: string): ConfigValue | undefined {
    return this.argumentNames.includes(name) ? this.#evaluate(name) : undefined;
  }
}

/** A name of Python's side that stands for itself: an element type (`float32`), a device (`cpu`), a file's text (by its path). */
export class Constant {
  readonly kind: 'dtype' | 'device' | 'text of';
  readonly name: string;

  constructor(kind: 'dtype' | 'device' | 'text of', name: string) {
    this.kind = kind;
    this.name = name;
  }
}

/** A call of a component's method: nothing is called; the component that is told of it looks whether it knows what it means. */
export class MethodCall {
  readonly of: Component;
  readonly name: string;
  readonly args: readonly ConfigValue[];
  readonly keywords: ReadonlyMap<string, ConfigValue>;

  constructor(of: Component, name: string, args: readonly ConfigValue[], keywords: ReadonlyMap<string, ConfigValue>) {
    this.of = of;
    this.name = name;
    this.args = args;
    this.keywords = keywords;
  }
}

/** A lambda: its body is never run as Python; the component that takes it looks whether it knows what it means. */
export class Lambda {
  readonly parameter: string;
  readonly body: Expression;

  constructor(parameter: string, body: Expression) {
    this.parameter = parameter;
    this.body = body;
  }
}

/** What a place of the configuration evaluates to. */
export type ConfigValue =
  | null
  | boolean
  | number
  | string
  | readonly ConfigValue[]
  | ReadonlyMap<string, ConfigValue>
  | Constant
  | Lambda
  | MethodCall
  | Component;

/** The document as it was read: dictionaries are maps, so that no key can reach an object's prototype. */
export type ConfigNode = null | boolean | number | string | readonly ConfigNode[] | ReadonlyMap<string, ConfigNode>;

export const isList = (value: unknown): value is readonly ConfigValue[] => Array.isArray(value);
export const isDictionary = (value: unknown): value is ReadonlyMap<string, ConfigValue> => value instanceof Map;

/** Short words for an error message: the kind of a value, never a long content. */
export function describeValue(value: ConfigValue): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (isList(value)) return `a list of ${value.length}`;
  if (isDictionary(value)) return 'a dictionary';
  if (value instanceof Component) return `the component ${value.target}`;
  if (value instanceof Lambda) return 'a lambda';
  if (value instanceof MethodCall) return `a call of ${value.name.slice(0, 60)}`;
  if (value instanceof Constant) return `the ${value.kind} ${value.name}`;
  return String(value);
}
