import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { ConfigDocument } from '../../../src/monai/bundle/config-document.ts';
import { parseConfig } from '../../../src/monai/bundle/config-file.ts';
import { appliedTo, madeImage } from '../../support/transform-images.ts';

const image = madeImage({ shape: [2, 4, 5, 6], content: 'mask', seed: 7 });
const step = (target: string, args: Record<string, unknown> = {}) => ({ _target_: target, keys: 'image', ...args });

async function refusal(...transforms: Record<string, unknown>[]): Promise<EndpointError> {
  const error = await appliedTo(transforms, { image }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(EndpointError);
  return error as EndpointError;
}

describe('bundles that ask for too much', () => {
  it.each<[string, Record<string, unknown>]>([
    ['Resized', { spatial_size: [1e5, 1e5, 1e5] }],
    ['Resized', { spatial_size: 1e9, size_mode: 'longest' }],
    ['SpatialPadd', { spatial_size: [1e6, 1e6, 1] }],
    ['BorderPadd', { spatial_border: 1e7 }],
    ['DivisiblePadd', { k: 2 ** 40 }],
    ['ResizeWithPadOrCropd', { spatial_size: 1e6 }],
    ['CropForegroundd', { source_key: 'image', margin: 1e6 }],
    ['CropForegroundd', { source_key: 'image', k_divisible: 1e7 }],
    ['Spacingd', { pixdim: 1e-9 }],
  ])('%s %j is unprocessable_image', async (target, args) => {
    expect((await refusal(step(target, args))).code).toBe('unprocessable_image');
  });

  it('stops channels that multiply', async () => {
    const doubling = Array.from({ length: 40 }, () => step('RepeatChanneld', { repeats: 2 }));
    expect((await refusal(...doubling)).code).toBe('unprocessable_image');
    const copies = step('CopyItemsd', { times: 1e9 });
    expect((await refusal(copies)).code).toBe('unsupported_bundle');
  });

  it('stops lambdas that multiply or run deep', async () => {
    const deep = `$lambda x: ${'('.repeat(500)}x${')'.repeat(500)}`;
    const nested = `$lambda x: ${'torch.abs('.repeat(100)}x${')'.repeat(100)}`;
    const long = `$lambda x: ${'x + '.repeat(2000)}x`;
    for (const func of [deep, nested, long]) {
      expect((await refusal(step('Lambdad', { func }))).code).toBe('unsupported_bundle');
    }
    const wide = `$lambda x: ${'x + '.repeat(200)}x`;
    await expect(appliedTo([step('Lambdad', { func: wide })], { image })).resolves.toBeDefined();
  });

  it.each([
    '$lambda x: x.__class__',
    '$lambda x: open("/etc/passwd")',
    '$lambda x: __import__("os").system("id")',
    '$lambda x: torch.load(x)',
    '$lambda x: np.frombuffer(x)',
    '$lambda x: constructor',
    '$lambda x: y',
    '$lambda x: x[0]',
    '$lambda x: x ** 99',
    '$lambda x: [x, x]',
    '$lambda x: lambda y: x',
    '$lambda x: torch.where(x)',
    '$lambda x: torch.nan_to_num(x, copy=x)',
  ])('refuses %s by the component that it stands in', async (func) => {
    const error = await refusal(step('Lambdad', { func }));
    expect(error.code).toBe('unsupported_bundle');
    expect(error.details).toMatchObject({ target: 'Lambdad', file: 'configs/inference.json' });
  });

  it('says so when a lambda asks for channels that are not there', async () => {
    expect((await refusal(step('Lambdad', { func: '$lambda x: x[[5]]' }))).code).toBe('unsupported_bundle');
    expect((await refusal(step('Lambdad', { func: '$lambda x: x[7:]' }))).code).toBe('unsupported_bundle');
    expect((await refusal(step('KeepLargestConnectedComponentd', { applied_labels: 9 }))).code).toBe(
      'unsupported_bundle',
    );
  });
});

describe('expressions that read', () => {
  const metadata = parseConfig('{"a": {"b": 3}}', 'configs/metadata.json');
  const open = (text: string): ConfigDocument =>
    new ConfigDocument(parseConfig(JSON.stringify({ root: '/w/bundle', x: text }), 'i.json'), 'i.json', metadata);

  it('the metadata, and nothing else', () => {
    const read = (path: string) => `$json.loads(pathlib.Path(${path}).read_text())`;
    expect(open(read("@root + '/configs/metadata.json'") + "['a']['b']").resolve('x')).toBe(3);
    for (const path of [
      "'/etc/passwd'",
      "'/proc/self/environ'",
      "@root + '/configs/inference.json'",
      "'metadata.json'",
    ])
      expect(() => open(read(path)).resolve('x')).toThrow(/only the bundle's configs\/metadata.json/);
  });
});

describe('patterns on hostile text', () => {
  it.each([
    ['references', `@${'::'.repeat(50_000)}!`],
    ['references of words', `@${'a::'.repeat(50_000)}!`],
    ['targets', `monai.${'a.'.repeat(50_000)}`],
    ['expressions', `$'${'\\\\'.repeat(1900)}`],
    ['names', `$${'a.'.repeat(1900)}`],
  ])('%s take no time', (_, text) => {
    const document = new ConfigDocument(
      parseConfig(JSON.stringify({ x: text, t: { _target_: text } }), 'i.json'),
      'i.json',
    );
    const start = performance.now();
    for (const id of ['x', 't']) {
      try {
        document.resolve(id);
      } catch (thrown) {
        expect((thrown as EndpointError).code).toBe('unsupported_bundle');
      }
    }
    expect(performance.now() - start).toBeLessThan(500);
  });
});
