import { describe, expect, it } from 'vitest';
import { compiledUrl } from '../../src/compiled-url.ts';

describe('compiledUrl', () => {
  it('maps a source file to the compiled one', () => {
    expect(compiledUrl('file:///x/src/compute/pool.ts', './thread-entry.ts').href).toBe(
      'file:///x/dist/compute/thread-entry.js',
    );
  });

  it('stays in dist when the caller is compiled', () => {
    expect(compiledUrl('file:///x/dist/compute/pool.js', '../a.ts').href).toBe('file:///x/dist/a.js');
  });
});
