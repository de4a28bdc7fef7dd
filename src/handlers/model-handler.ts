import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackgroundPlan } from '../api/background-status.ts';
import { type InvocationRequest, inferenceIdSchema, parseInvocationRequest } from '../api/invocation.ts';
import type { MapJson } from '../api/map-json.ts';
import { pointLabelsOf } from '../api/prompts.ts';
import { readMapJson } from '../archive/map-json-file.ts';
import type { ComputePool } from '../compute/pool.ts';
import type { ImageSource, InputReference } from '../connectors/image-source.ts';
import type { OutputSink } from '../connectors/output-sink.ts';
import type { PublishTarget, ResultPublisher } from '../connectors/result-publisher.ts';
import { EndpointError } from '../errors.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import { compileBundle } from '../monai/bundle/compile-bundle.ts';
import type { CompiledBundle } from '../monai/bundle/compiled-bundle.ts';
import { readMetadata } from '../monai/bundle/metadata.ts';
import { ProgressWriter, planBackground } from '../pipeline/background.ts';
import { checkMapJson } from '../pipeline/check-map-json.ts';
import { runImagingJob } from '../pipeline/imaging-application.ts';
import { checkFindingsOutputs } from '../pipeline/planned-outputs.ts';
import { deliverAnswer, deliveryOf } from './answer-delivery.ts';
import type {
  Handler,
  HandlerContext,
  HandlerRequest,
  HandlerResult,
  InitializeContext,
  ModelFacts,
} from './contract.ts';
import { NetworkBatches } from './network-batches.ts';
import { ownContext } from './own-context.ts';
import { bodyBytes, isJson, jsonType, parseJson } from './request-json.ts';
import { runTensors } from './tensors/run-tensors.ts';
import { type TensorCall, tensorCall } from './tensors/tensor-call.ts';

/** What the handlers of a process share. */
export interface ModelHandlerOptions {
  readonly pool: ComputePool;
  readonly sources: readonly ImageSource[];
  readonly sinks: readonly OutputSink[];
  readonly publishers: readonly ResultPublisher[];
  /** Most bytes of files that an answer may carry itself. */
  readonly maxAnswerBytes: number;
}

interface Loaded {
  /** Undefined for a bundle that is served by its tensors alone. */
  readonly bundle: CompiledBundle | undefined;
  readonly mapJson: MapJson;
  readonly version: string;
}

type LoadedBundle = { readonly bundle: CompiledBundle } & Pick<Loaded, 'mapJson'>;

/** A request without its body: where the images are and where the results go. */
type ImagingRequest = Omit<InvocationRequest, 'inputs' | 'model'> & { readonly inputs: readonly InputReference[] };

/** What a plan needs of the context of a call. */
type PlanContext = Pick<HandlerContext, 'systemProperties' | 'manifest' | 'signal'>;

const inferenceIdHeader = 'x-amzn-sagemaker-inference-id';

/**
 * The built-in handler: the bundle's own transforms and inferer on the request's images, results as `map.json` asks.
 * `preprocess` reads the request, `inference` runs the imaging application, `postprocess` builds the answer.
 */
export class ModelHandler implements Handler {
  readonly #options: ModelHandlerOptions;
  #loaded: Loaded | undefined;

  constructor(options: ModelHandlerOptions) {
    this.#options = options;
  }

  /** Compiles the bundle: whatever it uses that we do not run is refused here, not at the first request. */
  async initialize(context: InitializeContext): Promise<ModelFacts> {
    const dir = context.systemProperties.model_dir;
    const mapJson = await readMapJson(dir);
    checkMapJson(mapJson);
    const bundle = mapJson.tensorsOnly ? undefined : await compileBundle(dir, mapJson.io);
    if (bundle?.detects) checkFindingsOutputs(mapJson);
    const metadata = bundle?.metadata ?? (await readMetadata(dir));
    const version = mapJson.version ?? metadata.version ?? '0';
    this.#loaded = { bundle, mapJson, version };
    const { timeoutSeconds } = mapJson.inference;
    const { batch } = mapJson;
    return {
      version,
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
      ...(batch.maxSize > 1 ? { batch } : {}),
      ...(bundle?.windowShape ? { windowShape: bundle.windowShape } : {}),
    };
  }

  checkNetwork(signature: NetworkSignature): void {
    this.#loaded?.bundle?.checkNetwork(signature);
  }

  async handle(requests: readonly HandlerRequest[], context: HandlerContext): Promise<(HandlerResult | Error)[]> {
    const { network } = context;
    const together = requests.length > 1 && network && NetworkBatches.takes(network);
    const batches = together ? new NetworkBatches(network, requests.length) : undefined;
    return await Promise.all(
      requests.map(async (request, index) => {
        try {
          const shared = ownContext(request, context);
          const own = batches ? { ...shared, network: batches.network } : shared;
          const call = await tensorCall(request);
          return call ? await this.#runTensors(call, own, index) : await this.#handleOne(request, own);
        } catch (thrown) {
          if (!(thrown instanceof Error)) throw thrown;
          return thrown;
        } finally {
          batches?.ended();
        }
      }),
    );
  }

  async #runTensors(call: TensorCall, context: HandlerContext, index: number): Promise<HandlerResult> {
    if (!this.#loaded || !context.network) throw notInitialized();
    return await runTensors(call, {
      network: context.network,
      context,
      modelName: context.systemProperties.model_name,
      modelVersion: this.#loaded.version,
      maxBytes: this.#options.maxAnswerBytes,
      setHeader: (name, value) => context.setResponseHeader(index, name, value),
    });
  }

  /**
   * Finds out of a background request where it writes and what became of it before. Runs beside other work.
   *
   * @throws EndpointError `invalid_request`, `conflict`, `forbidden`
   */
  async plan(request: HandlerRequest, context: PlanContext): Promise<BackgroundPlan> {
    const bundle = this.#bundle();
    return await planBackground(this.#wanted(await parseRequest(request, ''), request, bundle, context));
  }

  async #handleOne(request: HandlerRequest, context: HandlerContext): Promise<HandlerResult> {
    if (!context.network) throw notInitialized();
    const bundle = this.#bundle();
    const delivery = deliveryOf(request.headers.accept);
    const imaging = await parseRequest(request, context.scratchDir);
    const wanted = this.#wanted(imaging, request, bundle, context);
    const progress = this.#progressOf(imaging, request.background);
    const { answer, files } = await runImagingJob({
      ...wanted,
      network: context.network,
      pool: this.#options.pool,
      sources: this.#options.sources,
      publishers: this.#options.publishers,
      scratchDir: context.scratchDir,
      elapsedMs: context.waitedMs,
      warnings: context.warnings,
      span: context.span,
      progress: (fraction, phase) => {
        progress?.update(fraction, phase);
        context.progress(fraction, phase);
      },
      writing: async (prefixUri) => {
        await progress?.stop();
        context.writing(prefixUri);
      },
    }).finally(() => progress?.stop());
    const { maxAnswerBytes: maxBytes } = this.#options;
    return await deliverAnswer(answer, files, { delivery, maxBytes, scratchDir: context.scratchDir });
  }

  /** Throws EndpointError `invalid_request` for a model that is served by its tensors alone. */
  #bundle(): LoadedBundle {
    if (!this.#loaded) throw notInitialized();
    const { bundle, mapJson } = this.#loaded;
    if (!bundle) throw takesTensorsOnly();
    return { bundle, mapJson };
  }

  /** What a request asks for, whether it is planned or run. Throws EndpointError for clicks that the bundle can't take. */
  #wanted(imaging: ImagingRequest, request: HandlerRequest, loaded: LoadedBundle, context: PlanContext) {
    loaded.bundle.checkClicks(pointLabelsOf(imaging.prompts));
    return {
      ...loaded,
      inputs: imaging.inputs,
      prompts: imaging.prompts,
      outputUri: imaging.output?.uri,
      publish: publishTargets(imaging.publish),
      inferenceId: imaging.inferenceId ?? inferenceIdOf(request),
      model: { name: context.systemProperties.model_name, sha256: context.manifest.sha256 },
      sinks: this.#options.sinks,
      signal: context.signal,
    };
  }

  #progressOf(imaging: ImagingRequest, plan: BackgroundPlan | undefined): ProgressWriter | undefined {
    if ((imaging.mode === 'background') !== (plan !== undefined)) {
      const message = '"mode": "background" is for single requests by HTTP; this one came another way. Leave it out.';
      throw new EndpointError('invalid_request', message);
    }
    const sink = plan && this.#options.sinks.find((candidate) => candidate.accepts(plan.prefixUri));
    return plan && sink && new ProgressWriter(sink, plan.prefixUri, plan);
  }
}

const notInitialized = (): EndpointError => new EndpointError('internal', 'The handler is not initialized.');

const takesTensorsOnly = (): EndpointError =>
  new EndpointError('invalid_request', 'This model takes tensors only: send a request of the Open Inference Protocol.');

/** A JSON body names its inputs; any other body is the input. */
async function parseRequest(request: HandlerRequest, scratchDir: string): Promise<ImagingRequest> {
  if (isJson(request)) return parseInvocationRequest(parseJson(await bodyBytes(request)));
  const contentType = request.headers['content-type'] ?? jsonType;
  if (request.bodyPath !== undefined) return { inputs: [{ body: { path: request.bodyPath, contentType } }] };
  await mkdir(scratchDir, { recursive: true, mode: 0o700 });
  const path = join(scratchDir, 'input');
  await writeFile(path, request.body ?? new Uint8Array(), { mode: 0o600 });
  return { inputs: [{ body: { path, contentType } }] };
}

/** SageMaker's own inference id, where it fits our ids. */
function inferenceIdOf(request: HandlerRequest): string | undefined {
  const parsed = inferenceIdSchema.safeParse(request.headers[inferenceIdHeader]);
  return parsed.success ? parsed.data : undefined;
}

function publishTargets(publish: InvocationRequest['publish']): PublishTarget[] {
  return [
    ...(publish?.healthimaging ? [{ kind: 'healthimaging' as const, ...publish.healthimaging }] : []),
    ...(publish?.dicomweb ? [{ kind: 'dicomweb' as const, ...publish.dicomweb }] : []),
  ];
}
