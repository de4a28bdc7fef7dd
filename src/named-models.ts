import { modelNameOfTarget } from './api/target-model.ts';
import { EndpointError } from './errors.ts';
import type { ManagedModels } from './model-cache/managed-models.ts';
import type { ModelLease, ModelStatus } from './model-cache/model.ts';
import type { SelfManagedModels } from './model-cache/self-managed-models.ts';
import type { SingleModel } from './model-cache/single-model.ts';
import type { OipModels } from './server/oip/oip-models.ts';

export interface NamedModelsOptions {
  /** True when SageMaker decides what is loaded. */
  readonly managed: boolean;
  readonly registry: ManagedModels;
  /** Models that are brought in on demand; none where no place of models is set. */
  readonly stored: SelfManagedModels | undefined;
  readonly single: SingleModel;
  readonly status: () => readonly ModelStatus[];
  readonly version: (key: string) => string | undefined;
}

/** Name of the one model of a container that was given no place of models. */
const singleName = 'model';

/** A server's models by the names of the Open Inference Protocol: loaded by SageMaker's calls, stored, or the one. */
export class NamedModels implements OipModels {
  readonly #options: NamedModelsOptions;

  constructor(options: NamedModelsOptions) {
    this.#options = options;
  }

  async acquire(name: string, signal: AbortSignal): Promise<ModelLease> {
    const { registry, stored, single, managed } = this.#options;
    const registered = registeredName(registry, name);
    if (registered !== undefined) return registry.acquire(registered);
    if (stored) return await stored.acquire(targetOf(name), signal);
    if (!managed && name === singleName) return await single.acquire(signal);
    throw new EndpointError('model_not_found', 'No model of this name is loaded.');
  }

  isReady(name: string): boolean {
    const { registry, stored, single, managed } = this.#options;
    if (registeredName(registry, name) !== undefined) return true;
    if (stored) return stored.isLoaded(targetOf(name));
    return !managed && name === singleName && single.isLoaded;
  }

  async load(name: string, signal: AbortSignal): Promise<void> {
    this.#refuseManaged();
    (await this.acquire(name, signal)).release();
  }

  async unload(name: string, signal: AbortSignal): Promise<void> {
    this.#refuseManaged();
    const { registry, stored } = this.#options;
    const registered = registeredName(registry, name);
    if (registered !== undefined) await registry.unload(registered);
    else if (stored) await stored.unload(targetOf(name), signal);
    else if (name === singleName) {
      throw new EndpointError('forbidden', 'The model of a single-model container stays loaded.');
    }
  }

  version(key: string): string | undefined {
    return this.#options.version(key);
  }

  status(): readonly ModelStatus[] {
    return this.#options.status();
  }

  #refuseManaged(): void {
    if (!this.#options.managed) return;
    const message = 'SageMaker decides what is loaded here: only POST and DELETE /models change it.';
    throw new EndpointError('forbidden', message);
  }
}

const targetOf = (name: string): string => `${modelNameOfTarget(name)}.tar.gz`;

const registeredName = (registry: ManagedModels, name: string): string | undefined =>
  registry.nameOf(name) ?? registry.nameOf(modelNameOfTarget(name));
