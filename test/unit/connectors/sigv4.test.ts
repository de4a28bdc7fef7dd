import { expect, it } from 'vitest';
import { signedHeaders } from '../../../src/connectors/sigv4.ts';

// From AWS's own test suite of Signature Version 4 (get-vanilla, get-vanilla-query-order-key-case, post-vanilla).
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const where = { region: 'us-east-1', service: 'service', at: new Date('2015-08-30T12:36:00Z') };

it.each([
  ['GET', '/', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['GET', '/?Param2=value2&Param1=value1', 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500'],
  ['POST', '/', '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
])('signs %s %s as AWS does', (method, path, signature) => {
  const request = { method, url: new URL(path, 'https://example.amazonaws.com'), headers: {}, body: '' };
  const { authorization } = signedHeaders(request, credentials, where);
  expect(authorization).toBe(
    `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`,
  );
});

it('signs a session token with the rest', () => {
  const request = { method: 'GET', url: new URL('https://example.amazonaws.com/'), headers: {}, body: '' };
  const headers = signedHeaders(request, { ...credentials, sessionToken: 'token' }, where);
  expect(headers['x-amz-security-token']).toBe('token');
  expect(headers.authorization).toContain('SignedHeaders=host;x-amz-date;x-amz-security-token');
});
