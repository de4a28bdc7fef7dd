import { EndpointError } from '../errors.ts';

/** Where a bundle lies in an unpacked archive. */
export interface BundleLayout {
  /** Folder of the bundle in the tree: `''`, or a path with its trailing slash. */
  readonly root: string;
  /** Name under `bundles/`; undefined for the one bundle of an archive. */
  readonly name: string | undefined;
  /** Undefined for an archive with code of its own that has no MONAI bundle around it. */
  readonly inferenceConfig: 'configs/inference.json' | 'configs/inference.yaml' | undefined;
  /** True when it has code of its own; then it may lack everything else. */
  readonly hasHandler?: true;
  /** True when it has no network: it has code of its own, and nothing for onnxruntime. */
  readonly hasNoNetwork?: true;
}

export const onnxFile = 'models/model.onnx';
const metadataFile = 'configs/metadata.json';
const inferenceFiles = ['configs/inference.json', 'configs/inference.yaml'] as const;
export const handlerFile = 'code/handler.mjs';
/** Folders by which a bundle's root is known. */
const marks = ['configs/', 'models/', 'bundles/', handlerFile];
/** What a request may name: it is joined to folders and stands in messages and metrics. */
const bundleName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Finds the bundles of an unpacked archive and checks that each has what it needs (design §3). One folder around
 * everything is accepted; `bundles/<model>/…` holds several. With `code/handler.mjs`, where that is allowed, nothing else
 * is needed.
 *
 * @param paths - paths of all files, with `/`
 * @throws EndpointError `invalid_archive` when files are missing; `unsupported_bundle` for a bundle without ONNX or
 *   with code of its own
 */
export function findBundles(paths: readonly string[], options: { readonly allowCustomCode: boolean }): BundleLayout[] {
  const root = rootOf(paths);
  const several = `${root}bundles/`;
  const names = new Set(paths.filter((path) => path.startsWith(several)).map((path) => path.slice(several.length)));
  const bundleNames = new Set(
    [...names].filter((name) => name.includes('/')).map((name) => name.split('/')[0] as string),
  );
  if (bundleNames.size === 0) return [checkBundle(paths, root, undefined, options.allowCustomCode)];
  // Which of the two a request would get must not depend on which we look at first.
  if (paths.some((path) => ['configs/', 'models/', 'code/'].some((mark) => path.startsWith(root + mark)))) {
    const message = 'The model archive holds bundles/<model>/ folders and a bundle beside them: move it into bundles/.';
    throw new EndpointError('invalid_archive', message);
  }
  return [...bundleNames].sort().map((name) => {
    if (!bundleName.test(name)) {
      const message = 'A folder under bundles/ must be named with at most 64 letters, digits, ".", "_" and "-".';
      throw new EndpointError('invalid_archive', message);
    }
    return checkBundle(paths, `${several}${name}/`, name, options.allowCustomCode);
  });
}

function rootOf(paths: readonly string[]): string {
  const hasMark = (root: string): boolean => paths.some((path) => marks.some((mark) => path.startsWith(root + mark)));
  if (hasMark('')) return '';
  const folders = new Set(paths.map((path) => path.slice(0, path.indexOf('/') + 1)));
  const [folder] = folders;
  if (folders.size === 1 && folder && hasMark(folder)) return folder;
  const message = `The model archive is no bundle: ${metadataFile} and ${onnxFile} must lie in it, or in one folder of it.`;
  throw new EndpointError('invalid_archive', message);
}

function checkBundle(
  paths: readonly string[],
  root: string,
  name: string | undefined,
  allowCustomCode: boolean,
): BundleLayout {
  const has = (path: string): boolean => paths.includes(root + path);
  const of = name === undefined ? 'The bundle' : `The bundle "${name}"`;
  if (has(handlerFile)) {
    if (!allowCustomCode) {
      const message = `${of} has ${handlerFile}, and custom code is off: ALLOW_CUSTOM_CODE=true lets it run.`;
      throw new EndpointError('unsupported_bundle', message);
    }
    const isBundle = has(metadataFile);
    const inferenceConfig = isBundle ? inferenceFiles.find(has) : undefined;
    return { root, name, inferenceConfig, hasHandler: true, ...(has(onnxFile) ? {} : { hasNoNetwork: true }) };
  }
  if (!has(onnxFile)) throw missingOnnx(of, has);
  if (!has(metadataFile)) throw new EndpointError('invalid_archive', `${of} has no ${metadataFile}.`);
  const inferenceConfig = inferenceFiles.find(has);
  if (!inferenceConfig) {
    throw new EndpointError('invalid_archive', `${of} has neither ${inferenceFiles.join(' nor ')}.`);
  }
  return { root, name, inferenceConfig };
}

function missingOnnx(of: string, has: (path: string) => boolean): EndpointError {
  const isTorch = has('models/model.pt') || has('models/model.ts');
  if (!isTorch) return new EndpointError('invalid_archive', `${of} has no ${onnxFile}.`);
  return new EndpointError('unsupported_bundle', `${of} has no ${onnxFile}; in its folder run: ${exportCommand(has)}`);
}

/**
 * MONAI's command that exports the network; run by the bundle's author, never by us. Tracing by TorchScript, since the
 * exporter that torch takes by default wants a package that MONAI does not bring.
 */
function exportCommand(has: (path: string) => boolean): string {
  const config = inferenceFiles.find(has) ?? inferenceFiles[0];
  const command =
    `python -m monai.bundle onnx_export --net_id network_def --filepath ${onnxFile} --ckpt_file models/model.pt ` +
    `--meta_file ${metadataFile} --config_file ${config} --use_trace True --converter_kwargs "{'dynamo': False}"`;
  if (has('models/model.pt')) return command;
  // A TorchScript file alone: MONAI exports from the weights and the configuration.
  const weights = "torch.save(torch.jit.load('models/model.ts', map_location='cpu').state_dict(), 'models/model.pt')";
  return `python -c "import torch; ${weights}" && ${command}`;
}
