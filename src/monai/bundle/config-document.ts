import {
  Component,
  type ConfigNode,
  type ConfigValue,
  Constant,
  isDictionary,
  isList,
  Lambda,
  MethodCall,
} from './config-value.ts';
import { evaluateExpression, isTrue } from './expression-evaluator.ts';
import { parseExpression } from './expression-parser.ts';
import { ExpressionError } from './expression-tokens.ts';
import { unsupported } from './unsupported.ts';

const maxDepth = 100;
/** Values that one evaluated place may hold in all, counted with repetition: stops exponential references. */
const maxWeight = 200_000;
const notArguments = new Set(['_target_', '_disabled_', '_requires_', '_desc_', '_mode_']);
const wholeReference = /^@(?:::)*\w*(?:::\w+)*$/;

/**
 * A bundle's configuration, evaluated place by place when asked and never before: what the inference path does not
 * reach (`run`, `initialize`, datasets, handlers) is not looked at. The meaning is that of MONAI's `ConfigParser`,
 * without its power to import and run Python.
 */
export class ConfigDocument {
  readonly file: string;
  readonly #root: ConfigNode;
  readonly #metadata: ConfigNode;
  readonly #values = new Map<string, ConfigValue>();
  readonly #weights = new WeakMap<object, number>();
  readonly #pending: string[] = [];

  /**
   * @param file - name relative to the bundle, for messages
   * @param metadata - content of the bundle's `metadata.json`, the one file that an expression may read
   */
  constructor(root: ConfigNode, file: string, metadata: ConfigNode = new Map()) {
    this.#root = root;
    this.#metadata = metadata;
    this.file = file;
  }

  has(id: string): boolean {
    return this.#find(id.replaceAll('#', '::')) !== undefined;
  }

  /**
   * Value of an id (`a`, `a#b`, `a::0::b`). The same id gives the same object each time.
   *
   * @throws EndpointError `unsupported_bundle`: missing or cyclic reference, unsupported expression, too large
   */
  resolve(id: string): ConfigValue {
    const path = id.replaceAll('#', '::');
    const known = this.#values.get(path);
    if (known !== undefined) return known;
    if (this.#pending.includes(path))
      throw this.#refusal(`The reference @${shown(path)} leads back to itself.`, this.#pending.at(-1) ?? path);
    if (this.#pending.length >= maxDepth)
      throw this.#refusal(`References and values are nested deeper than ${maxDepth}.`, path);
    const node = this.#nodeAt(path);
    this.#pending.push(path);
    try {
      const value = this.#evaluate(node, path);
      this.#weigh(value, path);
      this.#values.set(path, value);
      return value;
    } finally {
      this.#pending.pop();
    }
  }

  #nodeAt(path: string): ConfigNode {
    const node = this.#find(path);
    if (node === undefined)
      throw this.#refusal(`@${shown(path)} is not in the configuration.`, this.#pending.at(-1) ?? '');
    return node;
  }

  #find(path: string): ConfigNode | undefined {
    let node: ConfigNode | undefined = this.#root;
    for (const key of path === '' ? [] : path.split('::')) {
      if (isDictionary(node)) node = node.get(key) as ConfigNode | undefined;
      else if (isList(node) && /^\d+$/.test(key)) node = node[Number(key)] as ConfigNode | undefined;
      else node = undefined;
    }
    return node;
  }

  #evaluate(node: ConfigNode, path: string): ConfigValue {
    if (typeof node === 'string') return this.#text(node, path);
    if (isList(node)) {
      return node.flatMap((child, n) => {
        const value = this.resolve(`${path}::${n}`);
        return isComponentNode(child as ConfigNode) && value === null ? [] : [value];
      });
    }
    if (!isDictionary(node)) return node as null | boolean | number;
    return isComponentNode(node as ConfigNode)
      ? this.#component(node as ReadonlyMap<string, ConfigNode>, path)
      : this.#entries(node as ReadonlyMap<string, ConfigNode>, path);
  }

  #entries(node: ReadonlyMap<string, ConfigNode>, path: string): Map<string, ConfigValue> {
    const entries = new Map<string, ConfigValue>();
    for (const [key, child] of node) {
      const value = this.resolve(path === '' ? key : `${path}::${key}`);
      if (!(isComponentNode(child) && value === null)) entries.set(key, value);
    }
    return entries;
  }

  /** A disabled component is None, and its parent drops it. */
  #component(node: ReadonlyMap<string, ConfigNode>, path: string): Component | null {
    if (node.has('_disabled_')) {
      const disabled = this.resolve(`${path}::_disabled_`);
      if (typeof disabled === 'string' ? disabled.trim().toLowerCase() === 'true' : isTrue(disabled)) return null;
    }
    const target = this.resolve(`${path}::_target_`);
    if (typeof target !== 'string') throw this.#refusal('_target_ must be a name.', path);
    const mode = node.has('_mode_') ? this.resolve(`${path}::_mode_`) : 'default';
    if (mode !== 'default') throw this.#refusal(`_mode_ of ${shown(target)} is not supported.`, path, target);
    if (node.has('_requires_'))
      throw this.#refusal(`_requires_ of ${shown(target)} is not supported: it runs Python first.`, path, target);
    const names = [...node.keys()].filter((name) => !notArguments.has(name));
    return new Component(target, names, place(path), (name) => this.resolve(`${path}::${name}`));
  }

  #text(text: string, path: string): ConfigValue {
    if (text.startsWith('%')) throw this.#refusal('Macros (%) are not supported: use an @ reference.', path);
    const isExpression = text.startsWith('$');
    const isReference = !isExpression && wholeReference.test(text.replaceAll('#', '::'));
    if (!isExpression && !isReference) return text;
    const resolve = (id: string): ConfigValue => this.resolve(this.#absolute(id, path));
    if (isReference) return resolve(text.slice(1).replaceAll('#', '::'));
    try {
      return evaluateExpression(parseExpression(text.slice(1)), resolve, (file) => {
        if (/(?:^|\/)configs\/metadata\.json$/.test(file)) return this.#metadata;
        throw new ExpressionError("only the bundle's configs/metadata.json can be read");
      });
    } catch (thrown) {
      if (!(thrown instanceof ExpressionError)) throw thrown;
      throw this.#refusal(`The expression "${shown(text)}" is not supported: ${thrown.message}.`, path);
    }
  }

  /** `@::a` is a sibling of the place where it stands, `@::::a` one of its parent's. */
  #absolute(id: string, path: string): string {
    const ups = (/^(?:::)+/.exec(id)?.[0].length ?? 0) / 2;
    if (ups === 0) return id;
    const steps = path.split('::');
    if (ups > steps.length) throw this.#refusal(`The relative reference @${shown(id)} leaves the document.`, path);
    return [...steps.slice(0, steps.length - ups), id.slice(ups * 2)].join('::');
  }

  #weigh(value: ConfigValue, path: string): number {
    if (
      value === null ||
      typeof value !== 'object' ||
      value instanceof Constant ||
      value instanceof Component ||
      value instanceof Lambda ||
      value instanceof MethodCall
    )
      return 1;
    const known = this.#weights.get(value);
    if (known !== undefined) return known;
    const children = isList(value) ? value : value.values();
    let weight = 1;
    for (const child of children) weight += this.#weigh(child, path);
    if (weight > maxWeight) throw this.#refusal('The value is too large.', path);
    this.#weights.set(value, weight);
    return weight;
  }

  #refusal(what: string, path: string, target?: string) {
    return unsupported(what, { file: this.file, place: place(path) }, target);
  }
}

const isComponentNode = (node: ConfigNode): boolean => isDictionary(node) && node.has('_target_');
const place = (path: string): string => path.replaceAll('::', '#');
const shown = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
