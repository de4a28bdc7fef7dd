import { cpSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ThreadPool } from '../../../src/compute/pool.ts';
import { createConnectors } from '../../../src/connectors/drivers.ts';
import { EndpointError } from '../../../src/errors.ts';
import type { Volume } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { CompiledBundle, ResultImage } from '../../../src/monai/bundle/compiled-bundle.ts';
import { readMetadata } from '../../../src/monai/bundle/metadata.ts';
import { DicomDataLoader } from '../../../src/pipeline/operators/dicom-data-loader.ts';
import { SeriesSelector } from '../../../src/pipeline/operators/series-selector.ts';
import { SeriesToVolume } from '../../../src/pipeline/operators/series-to-volume.ts';
import { testContext } from '../../support/pipeline-context.ts';
import { never, startPool, type TestPool } from '../../support/sessions.ts';
import { shared } from '../../support/shared-data.ts';
import type { OurArray } from './compare.ts';
import type { Judge } from './judge.ts';
import type { PlannedBundle } from './plan.ts';

/** What we answer for a bundle and an image. */
export interface OurAnswer {
  readonly preprocessed: OurArray;
  readonly result: OurArray;
}

/** A bundle of the campaign in a folder of its own, with its network. */
export interface PreparedBundle {
  readonly dir: string;
  readonly planned: PlannedBundle;
}

/**
 * Copies a bundle and gives it a stub network where it has none.
 *
 * @param parent - folder for it
 */
export async function prepareBundle(planned: PlannedBundle, parent: string, judge: Judge): Promise<PreparedBundle> {
  const dir = join(parent, planned.name);
  const path = join(dir, 'models/model.onnx');
  mkdirSync(dirname(path), { recursive: true });
  cpSync(shared(`${planned.from}/${planned.name}`), dir, { recursive: true });
  if (planned.from === 'models') return { dir, planned };
  const { inputs, outputs } = await readMetadata(dir);
  const [input, output] = [inputs[0], outputs[0]];
  await judge.writeStub({
    path,
    dims: 3,
    kind: 'image',
    in: input?.channels ?? 1,
    out: output?.channels ?? 2,
    names: [input?.key ?? 'image', output?.key ?? 'pred'],
    ...planned.stub,
  });
  return { dir, planned };
}

/** Runs bundles as the endpoint's pipeline does: real session children, compute threads, its readers. */
export class OurSide {
  readonly #threads = new ThreadPool(2);
  readonly #sessions: TestPool;
  readonly #context = testContext({ pool: this.#threads });
  #loaded: { readonly dir: string; readonly bundle: CompiledBundle } | undefined;

  private constructor(sessions: TestPool) {
    this.#sessions = sessions;
  }

  static async start(): Promise<OurSide> {
    return new OurSide(await startPool({ workers: 2 }));
  }

  /**
   * Compiles a bundle, loads its network and checks that they fit; the one before is unloaded.
   *
   * @throws EndpointError `unsupported_bundle`: the refusal that a user would get
   */
  async load(dir: string): Promise<void> {
    await this.unload();
    const bundle = await compileBundle(dir);
    const { signature } = await this.#sessions.pool.load(dir, `${dir}/models/model.onnx`, never);
    this.#loaded = { dir, bundle };
    bundle.checkNetwork(signature);
    this.#network = this.#sessions.networks.networkOf(dir, signature, 2);
  }

  #network: ReturnType<TestPool['networks']['networkOf']> | undefined;

  async unload(): Promise<void> {
    if (this.#loaded) await this.#sessions.pool.unload(this.#loaded.dir);
    this.#loaded = undefined;
  }

  /** Answers for the loaded bundle. */
  async answer(files: Readonly<Record<string, string | readonly string[]>>): Promise<OurAnswer> {
    const bundle = this.#loaded?.bundle as CompiledBundle;
    const volumes: Record<string, Volume> = {};
    for (const [key, path] of Object.entries(files)) {
      if (typeof path !== 'string')
        throw new EndpointError('unsupported_bundle', 'An image of several files cannot be given.');
      volumes[key] = await this.#volumeOf(path);
    }
    const options = { pool: this.#threads, signal: never, progress: () => {} };
    const preprocessed = await bundle.preprocess(volumes, options);
    if (!this.#network) throw new Error('no network');
    const results = await bundle.runAll(volumes, { ...options, network: this.#network });
    return { preprocessed: arrayOf(preprocessed), result: arrayOf(results.get('pred') as ResultImage) };
  }

  async #volumeOf(path: string): Promise<Volume> {
    const { sources } = createConnectors({ allowedUris: [pathToFileURL(dirname(path)).href] });
    const context = { ...this.#context, scratchDir: this.#sessions.dataDir };
    const { images } = await new DicomDataLoader([{ uri: pathToFileURL(path).href }], sources).compute({}, context);
    const { selected } = await new SeriesSelector({ isRequested: true }).compute({ images }, context);
    return (await new SeriesToVolume().compute({ selected }, context)).image.volume;
  }

  async close(): Promise<void> {
    await this.#sessions.close();
    await this.#threads.close();
  }
}

const arrayOf = ({ channels, shape, affineRas }: ResultImage): OurArray => ({ channels, shape, affine: affineRas });
