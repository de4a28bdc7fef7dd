import type { Request, Response, Router } from 'express';
import { describe, expect, it } from 'vitest';
import { under } from '../../../src/server/under.ts';

describe('under', () => {
  it.each([
    ['/models', true],
    ['/models/', true],
    ['/models/a/invoke', true],
    ['/Models/a', true],
    ['/modelsX', false],
    ['/v2/models', false],
    ['/', false],
    ['', false],
  ])('%s: enters the router %s', (path, isEntered) => {
    const seen: string[] = [];
    const router = (() => seen.push('router')) as unknown as Router;
    const middleware = under(['/models'], router);
    middleware({ path } as Request, {} as Response, () => seen.push('next'));
    expect(seen).toEqual([isEntered ? 'router' : 'next']);
  });
});
