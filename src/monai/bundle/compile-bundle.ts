import { Arguments } from '../arguments.ts';
import type { Inferer, InfererScope } from '../inferers/inferer.ts';
import { findInferer, supportedInferers } from '../inferers/registry.ts';
import type { CompileScope } from '../transforms/transform.ts';
import { followBoxes } from './box-flow.ts';
import { CompiledBundle } from './compiled-bundle.ts';
import { compileTransforms, fused } from './compose.ts';
import { ConfigDocument } from './config-document.ts';
import { readFirstOf } from './config-file.ts';
import { Component, describeValue } from './config-value.ts';
import { followKeys, predictionKey } from './data-flow.ts';
import { whyNot } from './known-refusals.ts';
import { labelTailOf } from './label-tail.ts';
import { readMetadata } from './metadata.ts';
import type { IoNames } from './network-names.ts';
import { unsupported } from './unsupported.ts';

const metadataFile = 'configs/metadata.json';
const configFiles = ['configs/inference.json', 'configs/inference.yaml', 'configs/inference.yml'] as const;

/**
 * Compiles the bundle in a folder (`configs/metadata.json`, `configs/inference.json` or `.yaml`) to a program of native
 * transforms. Only what `preprocessing`, `inferer` and `postprocessing` reach is evaluated; no Python is run.
 *
 * @param io - names of the ONNX input and output where the archive gives them
 * @throws EndpointError `unsupported_bundle`, naming target, file and place, for whatever this program does not run
 */
export async function compileBundle(dir: string, io: IoNames = {}): Promise<CompiledBundle> {
  const metadata = await readMetadata(dir);
  const found = await readFirstOf(dir, configFiles);
  if (!found)
    throw unsupported('The bundle has no inference configuration (.json or .yaml).', {
      file: configFiles[0],
      place: '',
    });
  const { file } = found;
  const document = new ConfigDocument(found.root, file, (await readFirstOf(dir, [metadataFile]))?.root);
  const section = (name: string) => {
    if (!document.has(name)) throw unsupported(`The configuration has no section '${name}'.`, { file, place: '' });
    return document.resolve(name);
  };
  const root = section('preprocessing');
  const empty: CompileScope = { preprocessing: [], preprocessingRoot: undefined, bareKey: 'image' };
  const preprocessing = compileTransforms(root, file, 'preprocessing', empty);
  const inferer = compileInferer(section('inferer'), file, infererScope(document));
  const scope: CompileScope = {
    preprocessing,
    preprocessingRoot: root instanceof Component ? root : undefined,
    bareKey: predictionKey,
  };
  const postprocessing = compileTransforms(section('postprocessing'), file, 'postprocessing', scope);
  const keys = inferer.kind === 'detector' ? inferer.keys : undefined;
  const flow = followKeys(preprocessing, postprocessing, file, metadata, keys !== undefined);
  followBoxes(postprocessing, keys, file);
  const labelTail = labelTailOf(postprocessing, predictionKey);
  const afterLabels = fused(postprocessing.slice(labelTail?.steps ?? 0));
  const post = { postprocessing: fused(postprocessing), labelTail, afterLabels };
  const meanings = new Map(
    postprocessing.flatMap(({ keys: of, means }) => (means ? of.map((key) => [key, means]) : [])),
  );
  return new CompiledBundle({ metadata, io, flow, preprocessing, inferer, meanings, ...post });
}

/** What `inferer` is told of the rest of the document. */
export function infererScope(document: ConfigDocument): InfererScope {
  return {
    requirements: () => {
      const id = 'evaluator#_requires_';
      return document.has(id) ? document.resolve(id) : [];
    },
  };
}

function compileInferer(value: ReturnType<ConfigDocument['resolve']>, file: string, scope: InfererScope): Inferer {
  if (!(value instanceof Component))
    throw unsupported(`An inferer is expected, not ${describeValue(value)}.`, { file, place: 'inferer' });
  const definition = findInferer(value.target);
  if (definition) return definition.compile(new Arguments(value, file), scope);
  throw unsupported(
    `The inferer '${value.target.slice(0, 120)}' is not supported${whyNot(value.target, supportedInferers)}.`,
    { file, place: value.place },
    value.target,
  );
}
