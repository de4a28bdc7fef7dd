import { describe, expect, it } from 'vitest';
import { parseModelPath } from '../../../src/server/oip/model-path.ts';
import { repositoryIndex } from '../../../src/server/oip/repository-index.ts';

const actions = ['ready', 'infer'];
const invalid = expect.objectContaining({ code: 'invalid_request' });

describe('parseModelPath', () => {
  it.each([
    ['/spleen', 'spleen', undefined, undefined],
    ['/spleen/', 'spleen', undefined, undefined],
    ['/spleen/infer', 'spleen', undefined, 'infer'],
    ['/spleen/versions/1.0.0/ready', 'spleen', '1.0.0', 'ready'],
    ['/team%2Fspleen/infer', 'team/spleen', undefined, 'infer'],
    ['/team/spleen/infer', 'team/spleen', undefined, 'infer'],
    ['/team/spleen/versions/2', 'team/spleen', '2', undefined],
    ['/infer', 'infer', undefined, undefined],
    ['/versions/1', 'versions/1', undefined, undefined],
    ['/a%2Fversions%2F1%2Finfer', 'a/versions/1/infer', undefined, undefined],
  ])('reads %s', (path, name, version, action) => {
    expect(parseModelPath(path, actions)).toEqual({ name, version, action });
  });

  it.each(['', '/', '/%', '/%ff', `/${'x'.repeat(1025)}`])('refuses "%.20s"', (path) => {
    expect(() => parseModelPath(path, actions)).toThrow(invalid);
  });
});

describe('repositoryIndex', () => {
  const status = [
    { name: 'b', state: 'UNLOADING', sizeBytes: 1 },
    { name: 'b', state: 'LOADING', sizeBytes: 1 },
    { name: 'a', state: 'READY', sizeBytes: 1 },
    { name: 'a', state: 'UNLOADING', sizeBytes: 1 },
    { name: 'c', state: 'FAILED', reason: 'invalid_archive', sizeBytes: 0 },
  ] as const;

  it('shows each name once, the state that matters most', () => {
    expect(repositoryIndex(status, false)).toEqual([
      { name: 'a', state: 'READY', reason: '' },
      { name: 'b', state: 'LOADING', reason: '' },
      { name: 'c', state: 'FAILED', reason: 'invalid_archive' },
    ]);
  });

  it('shows the ready ones alone where it is asked to', () => {
    expect(repositoryIndex(status, true).map(({ name }) => name)).toEqual(['a']);
  });
});
