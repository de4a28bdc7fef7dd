import { describe, expect, it } from 'vitest';
import { asEndpointError, EndpointError } from '../../src/errors.ts';
import { loggableError } from '../../src/logger.ts';

describe('EndpointError', () => {
  it('survives a process boundary', () => {
    const error = new EndpointError('unprocessable_image', 'Slice 3 is missing.', { details: { slice: 3 } });
    const rebuilt = EndpointError.fromBody(JSON.parse(JSON.stringify(error)));
    expect(rebuilt).toMatchObject({
      code: 'unprocessable_image',
      status: 422,
      message: error.message,
      details: { slice: 3 },
    });
  });

  it('hides the inner text of an unknown error', () => {
    const error = asEndpointError(new Error('secret of /home/somebody'));
    expect(error.code).toBe('internal');
    expect(JSON.stringify(error)).not.toContain('secret');
  });
});

describe('loggableError', () => {
  it('tells the class and the place, never the message or the path of the machine', () => {
    const logged = JSON.stringify(loggableError(new TypeError('Doe^Jane is not a number')));
    expect(logged).toContain('TypeError');
    expect(logged).not.toContain('Doe');
    expect(logged).not.toContain(process.cwd());
  });
});
