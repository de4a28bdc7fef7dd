import { EndpointError } from '../errors.ts';
import { Arguments } from '../monai/arguments.ts';
import { compileBundle, infererScope } from '../monai/bundle/compile-bundle.ts';
import { compileTransforms } from '../monai/bundle/compose.ts';
import { ConfigDocument } from '../monai/bundle/config-document.ts';
import { readFirstOf } from '../monai/bundle/config-file.ts';
import { Component, type ConfigValue, isList } from '../monai/bundle/config-value.ts';
import { whyNot } from '../monai/bundle/known-refusals.ts';
import type { IoNames } from '../monai/bundle/network-names.ts';
import { unsupported } from '../monai/bundle/unsupported.ts';
import { findInferer, supportedInferers } from '../monai/inferers/registry.ts';
import type { ClickUse } from '../monai/points.ts';
import { monaiClassName } from '../monai/transforms/registry.ts';
import type { Transform } from '../monai/transforms/transform.ts';

const configFiles = ['configs/inference.json', 'configs/inference.yaml', 'configs/inference.yml'];

/** One step of a bundle, and whether this program runs it. */
export interface StepSupport {
  readonly section: 'preprocessing' | 'inferer' | 'postprocessing';
  readonly target: string;
  readonly supported: boolean;
  /** Why not. */
  readonly reason?: string;
}

export interface BundleSupport {
  readonly steps: readonly StepSupport[];
  /** The clicks that it takes in `prompts`; absent: none. */
  readonly clicks?: ClickUse;
  /** Why the bundle as a whole can't be loaded; absent when it can. */
  readonly refusal?: string;
}

/**
 * Which steps of a bundle run here: each is tried by itself, so that all that is missing shows at once. The verdict on
 * the whole is the loader's own.
 */
export async function bundleSupport(bundleDir: string, io: IoNames): Promise<BundleSupport> {
  let clicks: ClickUse | undefined;
  const refusal = await reasonOf(async () => {
    clicks = (await compileBundle(bundleDir, io)).flow.clicks;
  });
  const steps: StepSupport[] = [];
  const found = await readFirstOf(bundleDir, configFiles);
  if (found) {
    const document = new ConfigDocument(
      found.root,
      found.file,
      (await readFirstOf(bundleDir, ['configs/metadata.json']))?.root,
    );
    const preprocessing: Transform[] = [];
    const root = await sectionValue(document, 'preprocessing');
    for (const step of await stepsOf(root)) {
      steps.push(
        await trySection('preprocessing', step, () => {
          preprocessing.push(
            ...compileTransforms(step, found.file, 'preprocessing', {
              preprocessing: [],
              preprocessingRoot: undefined,
              bareKey: 'image',
            }),
          );
        }),
      );
    }
    const inferer = await sectionValue(document, 'inferer');
    if (inferer instanceof Component) {
      steps.push(
        await trySection('inferer', inferer, () => {
          const definition = findInferer(inferer.target);
          if (!definition)
            throw unsupported(`The inferer is not supported${whyNot(inferer.target, supportedInferers)}.`, {
              file: found.file,
              place: 'inferer',
            });
          definition.compile(new Arguments(inferer, found.file), infererScope(document));
        }),
      );
    }
    const scope = { preprocessing, preprocessingRoot: root instanceof Component ? root : undefined, bareKey: 'pred' };
    for (const step of await stepsOf(await sectionValue(document, 'postprocessing'))) {
      steps.push(
        await trySection('postprocessing', step, () => {
          compileTransforms(step, found.file, 'postprocessing', scope);
        }),
      );
    }
  }
  return { steps, ...(clicks && { clicks }), ...(refusal === undefined ? {} : { refusal }) };
}

/** The evaluated section; undefined when it is missing or can't be evaluated, which the refusal of the whole tells. */
async function sectionValue(document: ConfigDocument, id: string): Promise<ConfigValue | undefined> {
  if (!document.has(id)) return undefined;
  let value: ConfigValue | undefined;
  await reasonOf(() => {
    value = document.resolve(id);
  });
  return value;
}

/** What a hostile configuration may make of lists that hold each other. */
const maxDepth = 20;
const maxSteps = 500;

/** The components of a section; those of a `Compose` in its place. What can't be evaluated the whole's refusal tells. */
async function stepsOf(value: ConfigValue | undefined): Promise<Component[]> {
  const steps: Component[] = [];
  const visit = (each: ConfigValue | undefined, depth: number): void => {
    if (!(each instanceof Component) || depth > maxDepth || steps.length >= maxSteps) return;
    if (monaiClassName(each.target) !== 'Compose') {
      steps.push(each);
      return;
    }
    const transforms = each.argument('transforms') ?? [];
    for (const child of isList(transforms) ? transforms : [transforms]) visit(child, depth + 1);
  };
  await reasonOf(() => visit(value, 0));
  return steps;
}

async function trySection(section: StepSupport['section'], step: Component, compile: () => void): Promise<StepSupport> {
  const reason = await reasonOf(compile);
  return { section, target: step.target, supported: reason === undefined, ...(reason === undefined ? {} : { reason }) };
}

/** The message of a refusal; undefined when there was none. */
async function reasonOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof EndpointError) return thrown.message;
    throw thrown;
  }
}
