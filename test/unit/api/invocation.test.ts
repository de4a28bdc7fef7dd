import { describe, expect, it } from 'vitest';
import { parseInvocationRequest } from '../../../src/api/invocation.ts';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { checkTargetModel } from '../../../src/api/target-model.ts';

const datastoreId = 'a'.repeat(32);
const imageSetId = 'b'.repeat(32);

describe('parseInvocationRequest', () => {
  it('takes the flat form of the workshop', () => {
    expect(parseInvocationRequest({ datastoreId, imageSetId })).toEqual({ inputs: [{ datastoreId, imageSetId }] });
  });

  it.each([
    ['no object', []],
    ['nothing', null],
    ['no inputs', {}],
    ['an empty list', { inputs: [] }],
    ['an unknown key', { inputs: [{ datastoreId, imageSetId }], ouptut: {} }],
    ['a short id', { inputs: [{ datastoreId: 'a', imageSetId }] }],
    ['an id that is a path', { inputs: [{ datastoreId, imageSetId }], inferenceId: '../x' }],
    ['a UID with letters', { inputs: [{ datastoreId, imageSetId, seriesInstanceUid: '1.2.x' }] }],
    ['a reserved key', { inputs: [{ datastoreId, imageSetId }], publish: true }],
    ['an unknown mode', { inputs: [{ datastoreId, imageSetId }], mode: 'later' }],
  ])('refuses %s', (_what, body) => {
    expect(() => parseInvocationRequest(body)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});

describe('prompts', () => {
  const request = (prompts: unknown) => parseInvocationRequest({ datastoreId, imageSetId, prompts });

  it('are points in the patient or in voxels, with a label each or none', () => {
    const prompts = { coordinates: 'lps', points: [[-10.5, 20, 3]], pointLabels: ['spleen'] };
    expect(request(prompts).prompts).toEqual(prompts);
    expect(request({ coordinates: 'index', points: [[3, 4]] }).prompts?.points).toEqual([[3, 4]]);
  });

  it.each<[string, unknown, RegExp]>([
    ['no coordinates', { points: [[1, 2, 3]] }, /prompts\.coordinates/],
    ['no points', { coordinates: 'ras', points: [] }, /prompts\.points/],
    ['four numbers', { coordinates: 'ras', points: [[1, 2, 3, 4]] }, /prompts\.points\.0/],
    ['a text', { coordinates: 'ras', points: [['1', 2, 3]] }, /prompts\.points\.0\.0/],
    ['a place in the patient of two numbers', { coordinates: 'lps', points: [[1, 2]] }, /two numbers/],
    ['parts of voxels', { coordinates: 'index', points: [[1, 2.5, 3]] }, /whole numbers/],
    ['voxels before the first', { coordinates: 'index', points: [[1, -2, 3]] }, /whole numbers/],
    ['fewer labels than points', { coordinates: 'ras', points: [[1, 2, 3]], pointLabels: [] }, /as many pointLabels/],
    ['unknown keys', { coordinates: 'ras', points: [[1, 2, 3]], boxes: [] }, /boxes/],
    [
      'more points than anybody makes',
      { coordinates: 'index', points: Array(1001).fill([1, 2, 3]) },
      /prompts\.points/,
    ],
  ])('with %s are refused', (_what, prompts, message) => {
    expect(() => request(prompts)).toThrow(message);
    expect(() => request(prompts)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});

describe('the message of a refused request', () => {
  it('names the place and what is wrong there, without the value', () => {
    const refused = () => parseInvocationRequest({ inputs: [{ datastoreId, imageSetId: 'Doe^Jane' }] });
    expect(refused).toThrow(/inputs\.0\.imageSetId: must be 32 characters/);
    expect(refused).not.toThrow(/Doe/);
  });
});

describe('checkTargetModel', () => {
  it.each(['spleen.tar.gz', 'team-a/spleen_v1.2.tar.gz'])('takes %s', (name) =>
    expect(checkTargetModel(name)).toBe(name),
  );

  it.each([
    'spleen',
    '../spleen.tar.gz',
    '/spleen.tar.gz',
    'a//b.tar.gz',
    'a/./b.tar.gz',
    '.x.tar.gz',
    'a\n.tar.gz',
    '%2e/x.tar.gz',
    `${'a'.repeat(1020)}.tar.gz`,
  ])('refuses %s', (name) =>
    expect(() => checkTargetModel(name)).toThrow(expect.objectContaining({ code: 'invalid_request' })),
  );
});

describe('parseMapJson', () => {
  it('has a default for every field', () => {
    expect(parseMapJson({})).toEqual({
      io: {},
      tensorsOnly: false,
      inference: {},
      batch: { maxSize: 1, maxDelayMs: 0 },
    });
  });

  it('refuses an unknown key, naming it', () => {
    expect(() => parseMapJson({ outputs: [{ type: 'nifti', colour: 'red' }] })).toThrow(/colour/);
  });
});
