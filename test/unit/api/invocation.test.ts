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
