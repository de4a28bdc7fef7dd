import { describe, expect, it } from 'vitest';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { deriveMap } from '../../../src/cli/derived-map.ts';
import { checkAgainstMetadata } from '../../../src/cli/network-check.ts';
import type { TensorInfo } from '../../../src/imaging/tensor.ts';
import type { BundleMetadata, DataFormat } from '../../../src/monai/bundle/metadata.ts';

const format = (key: string, channels: number, more: Partial<DataFormat> = {}): DataFormat => ({
  key,
  channels,
  channelDef: {},
  ...more,
});
const metadata: BundleMetadata = {
  name: 'Kidneys',
  version: '1.2.0',
  channelDef: { 0: 'background', 1: 'kidney_left', 2: 'Tumor core', 3: 'gizmo' },
  inputs: [format('image', 1, { spatialShape: [96, 96, '8*n'], dtype: 'float32' })],
  outputs: [format('pred', 4)],
};

describe('a derived map.json', () => {
  it('names the labels of an argmax with their codes, and is valid', () => {
    const map = deriveMap(metadata, { channels: 1, fromArgmax: true });
    expect(map?.outputs[0].segments).toEqual([
      expect.objectContaining({ value: 1, label: 'Kidney left', propertyType: ['64033007', 'SCT', 'Kidney'] }),
      expect.objectContaining({ value: 2, label: 'Tumor core', propertyType: ['108369006', 'SCT', 'Neoplasm'] }),
      expect.objectContaining({ value: 3, label: 'Gizmo', propertyType: ['85756007', 'SCT', 'Tissue'] }),
    ]);
    expect(map?.outputs[0].segments[1]?.category[0]).toBe('49755003');
    expect(parseMapJson(map)).toMatchObject({ name: 'Kidneys', version: '1.2.0' });
  });

  it('numbers masks by channel, and leaves out those that the result lacks', () => {
    const values = deriveMap(metadata, { channels: 3, fromArgmax: false })?.outputs[0].segments.map(
      ({ value }) => value,
    );
    expect(values).toEqual([2, 3]);
  });

  it('is not guessed for a label map that no argmax made, nor without names', () => {
    expect(deriveMap(metadata, { channels: 1, fromArgmax: false })).toBeUndefined();
    expect(
      deriveMap({ ...metadata, channelDef: { 0: 'background' } }, { channels: 1, fromArgmax: true }),
    ).toBeUndefined();
  });
});

describe('a network against its metadata', () => {
  const info = (name: string, dims: (number | string)[], type: TensorInfo['type'] = 'float32'): TensorInfo => ({
    name,
    type,
    dims,
  });
  const check = (input: TensorInfo, channels: number, output = info('pred', ['n', -1, 'x', 'y', 'z'])): string[] =>
    checkAgainstMetadata(
      metadata,
      { inputs: [input], outputs: [output] },
      { input, output },
      {
        [output.name]: { type: 'float32', dims: [1, channels, 2, 2, 2], data: new Float32Array(channels * 8) },
      },
    );

  it('fits, with open axes and formulas', () => {
    expect(check(info('image', ['n', 1, 'x', 'y', 'z']), 4)).toEqual([]);
    expect(check(info('image', [1, 1, 96, 96, 40]), 4)).toEqual([]);
  });

  it('is refused for other channels and sizes', () => {
    expect(() => check(info('image', [1, 4, 96, 96, 96]), 4)).toThrow('its input 1 channels, models/model.onnx 4');
    expect(() => check(info('image', [1, 1, 96, 96, 96]), 2)).toThrow('its output 4 channels, models/model.onnx 2');
    expect(() => check(info('image', [1, 1, 64, 96, 96]), 4)).toThrow(
      '96 × 96 × 8*n voxels, models/model.onnx fixes 64',
    );
  });

  it('may have other names and types, and that is told', () => {
    expect(check(info('x', [1, 1, 'x', 'y', 'z'], 'float16'), 4, info('y', [1, 4, 'x', 'y', 'z']))).toEqual([
      'the network calls its input "x", metadata.json "image": taken by position',
      'metadata.json calls the input float32, the network takes float16',
      'the network calls its output "y", metadata.json "pred": taken by position',
    ]);
  });
});
