import { LRUCache } from 'lru-cache';
import type { BackgroundStatus } from '../api/background-status.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { ModelFacts } from './contract.ts';
import { ModelHandler, type ModelHandlerOptions } from './model-handler.ts';

/** A model as a pipeline process knows it. */
interface CatalogModel {
  readonly key: string;
  readonly name: string;
  readonly dir: string;
  readonly digest: string;
}

interface Initialized {
  readonly handler: ModelHandler;
  readonly facts: ModelFacts;
}

/** Compiled bundles are small; a process keeps this many. */
const keptHandlers = 64;

/** The handlers of a pipeline process: made at a model's first use here, kept while it is used. */
export class HandlerCatalog {
  readonly #options: ModelHandlerOptions;
  readonly #handlers = new LRUCache<string, Promise<Initialized>>({ max: keptHandlers });

  constructor(options: ModelHandlerOptions) {
    this.#options = options;
  }

  /**
   * Initializes the model's handler: the check at load.
   *
   * @param signature - of the loaded network, once it is known: checked too
   *
   * @throws EndpointError `unsupported_bundle`, `invalid_archive`, `model_failed`
   */
  async prepare(model: CatalogModel, signature: NetworkSignature | undefined): Promise<ModelFacts> {
    const { handler, facts } = await this.#initialized(model);
    if (signature) handler.checkNetwork?.(signature);
    return facts;
  }

  async handlerOf(model: CatalogModel): Promise<ModelHandler> {
    return (await this.#initialized(model)).handler;
  }

  /** Writes the status of a background request. */
  async writeStatus(prefixUri: string, status: BackgroundStatus): Promise<void> {
    await this.#options.sinks.find((sink) => sink.accepts(prefixUri))?.writeStatus(prefixUri, status);
  }

  /** Removes what a process that died had begun to write under a prefix. */
  async discard(prefixUri: string): Promise<void> {
    await this.#options.sinks.find((sink) => sink.accepts(prefixUri))?.discard(prefixUri);
  }

  #initialized(model: CatalogModel): Promise<Initialized> {
    const known = this.#handlers.get(model.key);
    if (known) return known;
    const created = this.#initialize(model);
    this.#handlers.set(model.key, created);
    created.catch(() => this.#handlers.delete(model.key));
    return created;
  }

  async #initialize(model: CatalogModel): Promise<Initialized> {
    const handler = new ModelHandler(this.#options);
    const facts = await handler.initialize({
      systemProperties: { model_dir: model.dir, gpu_id: null, model_name: model.name },
      manifest: { sha256: model.digest },
    });
    return { handler, facts };
  }
}
