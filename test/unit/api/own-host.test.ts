import { describe, expect, it } from 'vitest';
import { isOwnHost } from '../../../src/api/own-host.ts';

describe('isOwnHost', () => {
  it.each([
    '127.0.0.1:8080',
    'localhost:8080',
    'localhost',
    '[::1]:8080',
    'runtime-127.0.0.1:8080',
    'dicom-localhost',
    '127.0.5.1',
  ])('takes %s', (host) => expect(isOwnHost(host, '127.0.0.1')).toBe(true));

  it.each(['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.5:8080', '', '127.evil.0.1'])(
    'refuses %s',
    (host) => expect(isOwnHost(host, '127.0.0.1')).toBe(false),
  );

  it('takes the host that it was told to serve, but not any host for the any-address', () => {
    expect(isOwnHost('imaging.lan:8080', 'imaging.lan')).toBe(true);
    expect(isOwnHost('imaging.lan:8080', '0.0.0.0')).toBe(false);
    expect(isOwnHost(undefined, '0.0.0.0')).toBe(false);
  });
});
