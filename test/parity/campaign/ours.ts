import { cpSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ThreadPool } from '../../../src/compute/pool.ts';
import { createConnectors } from '../../../src/connectors/drivers.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Volume } from '../../../src/imaging/volume.ts';
import { createLogger } from '../../../src/logger.ts';
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
import type { PlannedBundle, PlannedImage } from './plan.ts';

/** What we answer for a bundle and an image. */
export interface OurAnswer {
  readonly preprocessed: OurArray;
  readonly result: OurArray;
}

/** Copies a bundle into a folder of its own, where a stub network may be added. */
export function copyBundle({ name, from }: PlannedBundle, parent: string): string {
  const dir = join(parent, name);
  mkdirSync(join(dir, 'models'), { recursive: true });
  cpSync(shared(`${from}/${name}`), dir, { recursive: true });
  return dir;
}

/** Writes the stub network of a copied bundle, with the channels that its metadata tells. */
export async function addStub({ stub }: PlannedBundle, dir: string, judge: Judge): Promise<void> {
  const { inputs, outputs } = await readMetadata(dir);
  const [input, output] = [inputs[0], outputs[0]];
  await judge.writeStub({
    path: join(dir, 'models/model.onnx'),
    dims: 3,
    kind: 'image',
    in: input?.channels ?? 1,
    out: output?.channels ?? 2,
    names: [input?.key ?? 'image', output?.key ?? 'pred'],
    ...stub,
  });
}

interface Loaded {
  readonly dir: string;
  readonly bundle: CompiledBundle;
  readonly network: Network;
}

/** Runs bundles as the endpoint's pipeline does: real session children, compute threads, its readers. */
export class OurSide {
  readonly #threads = new ThreadPool(2);
  readonly #sessions: TestPool;
  readonly #context = testContext({ pool: this.#threads });
  #loaded: Loaded | undefined;

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
    this.#loaded = { dir, bundle, network: this.#sessions.networks.networkOf(dir, signature, 2) };
    bundle.checkNetwork(signature);
  }

  async unload(): Promise<void> {
    if (this.#loaded) await this.#sessions.pool.unload(this.#loaded.dir);
    this.#loaded = undefined;
  }

  /** Answers for the loaded bundle. */
  async answer(
    files: Readonly<Record<string, string | readonly string[]>>,
    clicksByKey: PlannedImage['clicks'] = {},
  ): Promise<OurAnswer> {
    const { bundle, network } = this.#loaded as Loaded;
    const volumes: Record<string, readonly Volume[]> = {};
    for (const [key, paths] of Object.entries(files)) {
      const read: Volume[] = [];
      for (const path of [paths].flat()) read.push(...(await this.#volumesOf(path, bundle.imagesPerRun)));
      volumes[key] = read;
    }
    const clicks = Object.values(clicksByKey).flatMap((points) =>
      points.map(([x = 0, y = 0, z = 0]) => ({ voxel: [x, y, z] as const })),
    );
    const options = { pool: this.#threads, signal: never, clicks, progress: () => {} };
    const isFlat = network.inputs[0]?.dims.length === 4;
    const preprocessed = await bundle.preprocess(volumes, options, isFlat);
    const results = await bundle.runAll(volumes, { ...options, network });
    return { preprocessed: arrayOf(preprocessed), result: arrayOf(results.get('pred') as ResultImage) };
  }

  /** The volumes of a file or series: of a colour image one a channel. */
  async #volumesOf(path: string, imagesPerRun: number): Promise<readonly Volume[]> {
    const { sources } = createConnectors(
      { allowedUris: [pathToFileURL(dirname(path)).href] },
      createLogger('campaign', 'silent'),
    );
    const context = { ...this.#context, scratchDir: this.#sessions.dataDir };
    const { images } = await new DicomDataLoader([{ uri: pathToFileURL(path).href }], sources).compute({}, context);
    if (images.kind === 'volume') return images.volumes;
    const { selected } = await new SeriesSelector({ isRequested: true, imagesPerRun }).compute({ images }, context);
    return [(await new SeriesToVolume().compute({ selected }, context)).image.volume];
  }

  async close(): Promise<void> {
    await this.#sessions.close();
    await this.#threads.close();
  }
}

const arrayOf = ({ channels, shape, affineRas }: ResultImage): OurArray => ({ channels, shape, affine: affineRas });
