import { LRUCache } from 'lru-cache';
import type { ComputePool } from '../compute/pool.ts';
import type { ImageSource } from '../connectors/image-source.ts';
import type { OutputSink } from '../connectors/output-sink.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Handler, ModelFacts } from './contract.ts';
import { ModelHandler } from './model-handler.ts';

/** A model as a pipeline process knows it. */
interface CatalogModel {
  readonly key: string;
  readonly name: string;
  readonly dir: string;
  readonly digest: string;
}

/** What the handlers of a process share. */
export interface HandlerCatalogOptions {
  readonly pool: ComputePool;
  readonly sources: readonly ImageSource[];
  readonly sinks: readonly OutputSink[];
  /** Most bytes of files that an answer may carry itself. */
  readonly maxAnswerBytes: number;
}

interface Initialized {
  readonly handler: Handler;
  readonly facts: ModelFacts;
}

/** Compiled bundles are small; a process keeps this many. */
const keptHandlers = 64;

/** The handlers of a pipeline process: made at a model's first use here, kept while it is used. */
export class HandlerCatalog {
  readonly #options: HandlerCatalogOptions;
  readonly #handlers = new LRUCache<string, Promise<Initialized>>({ max: keptHandlers });

  constructor(options: HandlerCatalogOptions) {
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

  async handlerOf(model: CatalogModel): Promise<Handler> {
    return (await this.#initialized(model)).handler;
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
