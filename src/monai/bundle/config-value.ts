/** A `_target_` of the configuration with its evaluated arguments; what it means is the registries' affair. */
export class Component {
  readonly target: string;
  readonly args: ReadonlyMap<string, ConfigValue>;
  /** Where it stands in the document, `preprocessing#transforms#3`. */
  readonly place: string;

  constructor(target: string, args: ReadonlyMap<string, ConfigValue>, place: string) {
    this.target = target;
    this.args = args;
    this.place = place;
  }
}

/** A name of Python's side that stands for itself: an element type (`float32`) or a device (`cpu`). */
export class Constant {
  readonly kind: 'dtype' | 'device';
  readonly name: string;

  constructor(kind: 'dtype' | 'device', name: string) {
    this.kind = kind;
    this.name = name;
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
  if (value instanceof Constant) return `the ${value.kind} ${value.name}`;
  return String(value);
}
