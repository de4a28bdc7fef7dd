import type { ModelState, ModelStatus } from '../../model-cache/model.ts';

/** A model as `/v2/repository/index` shows it. */
interface IndexEntry {
  readonly name: string;
  readonly state: ModelState;
  readonly reason: string;
}

/** Of several loads of one name (an old version that ends, a new one that comes) the first of these states is shown. */
const order: readonly ModelState[] = ['READY', 'LOADING', 'UNLOADING', 'FAILED'];

/** The index of the models, by name; with `readyOnly` of those that are ready. */
export function repositoryIndex(status: readonly ModelStatus[], readyOnly: boolean): IndexEntry[] {
  const shown = new Map<string, ModelStatus>();
  for (const model of status) {
    const other = shown.get(model.name);
    if (!other || order.indexOf(model.state) < order.indexOf(other.state)) shown.set(model.name, model);
  }
  return [...shown.values()]
    .filter(({ state }) => !readyOnly || state === 'READY')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, state, reason }) => ({ name, state, reason: reason ?? '' }));
}
