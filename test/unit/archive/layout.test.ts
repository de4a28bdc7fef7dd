import { describe, expect, it } from 'vitest';
import { findBundles } from '../../../src/archive/layout.ts';

const bundle = ['configs/inference.json', 'configs/metadata.json', 'models/model.onnx'];
const strict = { allowCustomCode: false };
const under = (root: string, paths = bundle): string[] => paths.map((path) => root + path);

const findBundle = (...args: Parameters<typeof findBundles>) => findBundles(...args)[0];

describe('one bundle', () => {
  it.each([
    ['at the top', bundle, ''],
    ['with other files beside it', [...bundle, 'LICENSE', 'docs/README.md', 'models/w.bin', 'map.json'], ''],
    ['in one folder', under('spleen_ct/'), 'spleen_ct/'],
  ])('finds a bundle %s', (_, paths, root) => {
    expect(findBundle(paths, strict)).toEqual({ root, name: undefined, inferenceConfig: 'configs/inference.json' });
  });

  it('takes the YAML form where there is no JSON', () => {
    const yaml = ['configs/inference.yaml', 'configs/metadata.json', 'models/model.onnx'];
    expect(findBundle(yaml, strict)?.inferenceConfig).toBe('configs/inference.yaml');
    expect(findBundle([...yaml, ...bundle], strict)?.inferenceConfig).toBe('configs/inference.json');
  });

  it.each([
    ['two folders', [...under('a/'), ...under('b/')], 'invalid_archive', 'no bundle'],
    ['two levels of folders', under('a/b/'), 'invalid_archive', 'no bundle'],
    ['nothing', [], 'invalid_archive', 'no bundle'],
    ['something else', ['a.txt'], 'invalid_archive', 'no bundle'],
    [
      'a folder that only begins like one',
      ['modelsX/model.onnx', 'configsX/metadata.json'],
      'invalid_archive',
      'no bundle',
    ],
    ['no metadata', ['configs/inference.json', 'models/model.onnx'], 'invalid_archive', 'configs/metadata.json'],
    ['no inference configuration', ['configs/metadata.json', 'models/model.onnx'], 'invalid_archive', 'inference.json'],
    ['no network', ['configs/inference.json', 'configs/metadata.json'], 'invalid_archive', 'models/model.onnx'],
    ['a handler', [...bundle, 'code/handler.mjs'], 'unsupported_bundle', 'ALLOW_CUSTOM_CODE'],
  ])('refuses %s', (_, paths, code, text) => {
    expect(() => findBundle(paths, strict)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(text) }),
    );
  });

  it.each([
    ['alone', ['code/handler.mjs', 'code/lib.mjs'], '', { hasNoNetwork: true }],
    ['in one folder', ['mine/code/handler.mjs', 'mine/map.json'], 'mine/', { hasNoNetwork: true }],
    ['with a network', ['code/handler.mjs', 'models/model.onnx'], '', {}],
    ['in a bundle', [...bundle, 'code/handler.mjs'], '', { inferenceConfig: 'configs/inference.json' }],
  ])('takes a handler %s where custom code is allowed, and only there', (_, paths, root, more) => {
    const found = { root, name: undefined, inferenceConfig: undefined, hasHandler: true, ...more };
    expect(findBundle(paths, { allowCustomCode: true })).toEqual(found);
    expect(() => findBundle(paths, strict)).toThrow(expect.objectContaining({ code: 'unsupported_bundle' }));
  });

  it('takes no other file of code/ for a handler', () => {
    const paths = ['code/other.mjs', 'map.json'];
    expect(() => findBundle(paths, { allowCustomCode: true })).toThrow(
      expect.objectContaining({ code: 'invalid_archive' }),
    );
  });

  it.each(['models/model.pt', 'models/model.ts'])('tells how to export a bundle with only %s', (weights) => {
    const paths = ['spleen/configs/inference.yaml', 'spleen/configs/metadata.json', `spleen/${weights}`];
    const command =
      'python -m monai.bundle onnx_export --net_id network_def --filepath models/model.onnx --ckpt_file models/model.pt ' +
      '--meta_file configs/metadata.json --config_file configs/inference.yaml --use_trace True ' +
      `--converter_kwargs "{'dynamo': False}"`;
    const first = weights.endsWith('.ts')
      ? /in its folder run: python -c "import torch; .*jit.load/
      : /folder run: python -m/;
    expect(() => findBundle(paths, strict)).toThrow(
      expect.objectContaining({ code: 'unsupported_bundle', message: expect.stringContaining(command) }),
    );
    expect(() => findBundle(paths, strict)).toThrow(expect.objectContaining({ message: expect.stringMatching(first) }));
  });
});

describe('findBundles', () => {
  it('finds several bundles by name, also in one folder', () => {
    for (const around of ['', 'all/']) {
      const paths = [
        ...under(`${around}bundles/spleen/`),
        ...under(`${around}bundles/brain/`),
        `${around}bundles/README`,
      ];
      expect(findBundles(paths, strict).map(({ name, root }) => [name, root])).toEqual([
        ['brain', `${around}bundles/brain/`],
        ['spleen', `${around}bundles/spleen/`],
      ]);
    }
  });

  it.each([
    ['a bundle beside them', [...bundle, ...under('bundles/a/')], 'beside them'],
    ['a handler beside them', ['code/handler.mjs', ...under('bundles/a/')], 'beside them'],
    ['a name that no request can give', under('bundles/-a/'), 'must be named'],
    ['a name with a space', under('bundles/a b/'), 'must be named'],
  ])('refuses %s', (_, paths, text) => {
    const refusal = { code: 'invalid_archive', message: expect.stringContaining(text) };
    expect(() => findBundles(paths, strict)).toThrow(expect.objectContaining(refusal));
  });

  it('checks each of them', () => {
    const paths = [...under('bundles/a/'), 'bundles/b/models/model.pt'];
    expect(() => findBundles(paths, strict)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('"b"') }),
    );
  });
});
