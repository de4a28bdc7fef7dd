import { EndpointError } from '../errors.ts';
import {
  Component,
  type ConfigValue,
  Constant,
  describeValue,
  isList,
  type MethodCall,
} from './bundle/config-value.ts';
import { dtypeByName } from './bundle/python-names.ts';
import { unsupported } from './bundle/unsupported.ts';

/**
 * Arguments of a configured component, read by MONAI's names and defaults. Every argument must be read or accepted by
 * name: `finish` refuses what is left, so that nothing is silently ignored.
 */
export class Arguments {
  readonly component: Component;
  readonly #file: string;
  readonly #left: Set<string>;
  readonly #bareKey: string | undefined;

  /** @param bareKey - the image that a component without `keys` works on */
  constructor(component: Component, file: string, bareKey?: string) {
    this.component = component;
    this.#file = file;
    this.#bareKey = bareKey;
    this.#left = new Set(component.argumentNames);
  }

  /** Value of an argument, `undefined` when it is not given. */
  raw(name: string): ConfigValue | undefined {
    this.#left.delete(name);
    try {
      return this.component.argument(name);
    } catch (thrown) {
      if (!(thrown instanceof EndpointError)) throw thrown;
      const { target } = this.component;
      const details = { target, ...thrown.details };
      throw new EndpointError(thrown.code, `${target.slice(0, 120)}: ${thrown.message}`, { details, cause: thrown });
    }
  }

  /** Arguments of MONAI that have no effect here. */
  accept(...names: readonly string[]): void {
    for (const name of names) this.#left.delete(name);
  }

  /** Refuses an argument whose value is not one of these (each is the default or does the same). */
  only(name: string, ...values: readonly ConfigValue[]): void {
    const value = this.raw(name);
    if (value !== undefined && !values.includes(value))
      throw this.#wrong(name, values.map(describeValue).join(' or '), value);
  }

  /** `keys`: one key or a list. */
  keys(name = 'keys'): string[] {
    if (name === 'keys' && this.#bareKey !== undefined) return [this.#bareKey];
    const value = this.raw(name);
    const keys = isList(value) ? value : [value];
    if (keys.length > 0 && keys.every((key): key is string => typeof key === 'string')) return [...keys];
    throw this.#wrong(name, 'a key or a list of keys', value);
  }

  text(name: string, fallback?: string): string {
    return this.#required(
      name,
      this.raw(name) ?? fallback,
      (value) => (typeof value === 'string' ? value : undefined),
      'a text',
    );
  }

  number(name: string, fallback?: number): number {
    return this.#required(name, this.raw(name) ?? fallback, asNumber, 'a number');
  }

  /** A number or None. */
  optionalNumber(name: string, fallback: number | null = null): number | null {
    const value = this.raw(name);
    if (value === undefined) return fallback;
    return value === null ? null : this.#required(name, value, asNumber, 'a number or None');
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.#required(name, this.raw(name) ?? fallback, asBoolean, 'True or False');
  }

  /** True, False or None. */
  optionalBoolean(name: string): boolean | null {
    const value = this.raw(name);
    return value === undefined || value === null ? null : this.#required(name, value, asBoolean, 'True, False or None');
  }

  choice<T extends string>(name: string, options: readonly T[], fallback: T): T {
    return this.#required(
      name,
      this.raw(name) ?? fallback,
      (value) => options.find((o) => o === value),
      options.join(', '),
    );
  }

  /** A number for all axes, or one for each. */
  numbers(name: string, count: number, fallback?: number): number[] {
    const value = this.raw(name) ?? fallback;
    const list = isList(value) ? value : Array.from({ length: count }, () => value as ConfigValue);
    const numbers = list.map((item) => (item === undefined ? undefined : asNumber(item)));
    if (numbers.length === count && numbers.every((item) => item !== undefined)) return numbers as number[];
    throw this.#wrong(name, `a number or ${count} numbers`, value);
  }

  /** An element type, given as such or by name; None and absence are undefined. */
  dtype<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.raw(name);
    if (value === undefined || value === null) return undefined;
    return this.#required(name, value, (item) => asDtype(item, allowed), allowed.join(' or '));
  }

  /** An element type for every key, or a list with one for each. */
  perKeyDtype<T extends string>(name: string, count: number, allowed: readonly T[], fallback: T): T[] {
    return this.perKey(name, count, fallback, (item) => asDtype(item, allowed), allowed.join(' or '));
  }

  /** One value for every key, or a list with one for each; read by `read`, which gives undefined for a wrong one. */
  perKey<T>(name: string, count: number, fallback: T, read: (value: ConfigValue) => T | undefined, what: string): T[] {
    const value = this.raw(name);
    if (value === undefined) return Array.from({ length: count }, () => fallback);
    const list = isList(value) ? value : Array.from({ length: count }, () => value);
    if (list.length !== count) throw this.#wrong(name, `${what}, or ${count} of them`, value);
    return list.map((item) => this.#required(name, item, read, what));
  }

  perKeyBoolean(name: string, count: number, fallback: boolean): boolean[] {
    return this.perKey(name, count, fallback, asBoolean, 'True or False');
  }

  /** An argument that is a component (`transform: @preprocessing`). */
  componentArgument(name: string): Component {
    const value = this.raw(name);
    if (value instanceof Component) return value;
    throw this.#wrong(name, 'a component', value);
  }

  /** The arguments of a component that is an argument. */
  nested(name: string): Arguments {
    return new Arguments(this.componentArgument(name), this.#file);
  }

  /** The arguments of a call of a method, which are named by `parameters` where they stand without a name. */
  ofCall({ of, name, args, keywords }: MethodCall, parameters: readonly string[]): Arguments {
    const given = new Map<string, ConfigValue>(keywords);
    for (const [n, value] of args.entries()) given.set(parameters[n] ?? `argument ${n + 1}`, value);
    const component = new Component(
      `${of.target}.${name}`,
      [...given.keys()],
      of.place,
      (key) => given.get(key) as ConfigValue,
    );
    return new Arguments(component, this.#file);
  }

  /** To be called when all is read. */
  finish(): void {
    const [unknown] = this.#left;
    if (unknown !== undefined) throw this.refuse(`the argument '${unknown.slice(0, 60)}' is not supported`);
  }

  /** The refusal of this component, with its target, file and place. */
  refuse(what: string): EndpointError {
    const { target, place } = this.component;
    return unsupported(`${target.slice(0, 120)}: ${what}.`, { file: this.#file, place }, target);
  }

  #required<T>(
    name: string,
    value: ConfigValue | undefined,
    read: (value: ConfigValue) => T | undefined,
    what: string,
  ): T {
    const result = value === undefined ? undefined : read(value);
    if (result === undefined) throw this.#wrong(name, what, value);
    return result;
  }

  #wrong(name: string, what: string, value: ConfigValue | undefined): EndpointError {
    return this.refuse(`'${name}' must be ${what}, not ${value === undefined ? 'missing' : describeValue(value)}`);
  }
}

const asNumber = (value: ConfigValue): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

function asDtype<T extends string>(value: ConfigValue, allowed: readonly T[]): T | undefined {
  const constant = typeof value === 'string' ? dtypeByName(value) : value;
  if (!(constant instanceof Constant) || constant.kind !== 'dtype') return undefined;
  return allowed.find((name) => name === constant.name);
}

/** The zoo also writes "True"; a text "False" would be true in Python, so it is refused. */
const asBoolean = (value: ConfigValue): boolean | undefined =>
  typeof value === 'boolean' ? value : value === 'True' || value === 'true' ? true : undefined;
