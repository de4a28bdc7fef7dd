import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { receiveBody } from '../../../src/server/request-body.ts';

/** A request that announces its length; its bytes come when the test pushes them. */
function requestOf(length: number): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  request.headers = { 'content-length': String(length) };
  request._read = () => undefined;
  return request;
}

const receive = (request: IncomingMessage, signal = new AbortController().signal) =>
  receiveBody(request, { maxBytes: 1000, scratchDir: '/nowhere', signal });

describe('a small body', () => {
  it('is put together of its chunks, in memory of its own', async () => {
    const request = requestOf(6);
    const received = receive(request);
    const chunk = Buffer.from('abcd');
    request.push(chunk);
    request.push('ef');
    request.push(null);
    const { bytes } = await received;
    chunk.fill(0);
    expect(Buffer.from(bytes as Uint8Array).toString()).toBe('abcdef');
  });

  it('that ends early is refused, and nobody waits for the rest', async () => {
    const short = requestOf(6);
    const received = receive(short);
    short.push('abc');
    short.push(null);
    await expect(received).rejects.toMatchObject({ code: 'invalid_request', message: /before its end/ });
    const cut = requestOf(6);
    const other = receive(cut);
    cut.push('abc');
    cut.destroy();
    await expect(other).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(receive(cut)).rejects.toBeInstanceOf(EndpointError);
  });

  it('is not waited for beyond the deadline', async () => {
    const controller = new AbortController();
    const late = new EndpointError('deadline_exceeded', 'Too late.');
    const request = requestOf(6);
    const received = receive(request, controller.signal);
    request.push('abc');
    controller.abort(late);
    await expect(received).rejects.toBe(late);
    expect(request.destroyed).toBe(true);
    await expect(receive(requestOf(6), controller.signal)).rejects.toBe(late);
  });
});
