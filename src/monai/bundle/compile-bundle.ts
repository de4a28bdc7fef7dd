import { Arguments } from '../arguments.ts';
import type { Inferer } from '../inferers/inferer.ts';
import { findInferer, supportedInferers } from '../inferers/registry.ts';
import type { CompileScope } from '../transforms/transform.ts';
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
  const inferer = compileInferer(section('inferer'), file);
  const scope: CompileScope = {
    preprocessing,
    preprocessingRoot: root instanceof Component ? root : undefined,
    bareKey: predictionKey,
  };
  const postprocessing = compileTransforms(section('postprocessing'), file, 'postprocessing', scope);
  const flow = followKeys(preprocessing, postprocessing, file, metadata);
  const labelTail = labelTailOf(postprocessing, predictionKey);
  const afterLabels = fused(postprocessing.slice(labelTail?.steps ?? 0));
  const post = { postprocessing: fused(postprocessing), labelTail, afterLabels };
  return new CompiledBundle({ metadata, io, flow, preprocessing, inferer, ...post });
}

function compileInferer(value: ReturnType<ConfigDocument['resolve']>, file: string): Inferer {
  if (!(value instanceof Component))
    throw unsupported(`An inferer is expected, not ${describeValue(value)}.`, { file, place: 'inferer' });
  const definition = findInferer(value.target);
  if (definition) return definition.compile(new Arguments(value, file));
  throw unsupported(
    `The inferer '${value.target.slice(0, 120)}' is not supported${whyNot(value.target, supportedInferers)}.`,
    { file, place: value.place },
    value.target,
  );
}
