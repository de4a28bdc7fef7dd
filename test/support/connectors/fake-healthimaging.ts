import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

/** What a frame request meets. `times`: only the first so many requests, then it works. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly type?: string; readonly times?: number }
  | { readonly kind: 'reset'; readonly times?: number }
  | { readonly kind: 'cut-connection'; readonly times?: number }
  | { readonly kind: 'stall'; readonly times?: number }
  | { readonly kind: 'trickle' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly type?: string };

/** A HealthImaging of two operations over HTTP, that fails as it is told. */
export interface FakeHealthImaging {
  readonly url: string;
  /** Faults by frame id; `metadata` for GetImageSetMetadata. */
  readonly faults: Map<string, Fault>;
  /** Requests so far, by frame id or `metadata`. */
  readonly requests: Map<string, number>;
  /** Sockets that are open now. */
  openSockets(): number;
  close(): Promise<void>;
}

export async function startFakeHealthImaging(
  document: unknown,
  frames: ReadonlyMap<string, Uint8Array>,
): Promise<FakeHealthImaging> {
  const faults = new Map<string, Fault>();
  const requests = new Map<string, number>();
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const isFrame = request.url?.endsWith('/getImageFrame') === true;
    const body = Buffer.concat(chunks).toString('utf8');
    const id = isFrame ? (JSON.parse(body) as { imageFrameId: string }).imageFrameId : 'metadata';
    const count = (requests.get(id) ?? 0) + 1;
    requests.set(id, count);
    const fault = faults.get(id);
    const bytes = isFrame ? frames.get(id) : gzipSync(JSON.stringify(document));
    if (fault && !('times' in fault && fault.times !== undefined && count > fault.times)) {
      fail(fault, bytes ?? new Uint8Array(), request, response);
      return;
    }
    if (!bytes) {
      sendError(response, 404, 'ResourceNotFoundException');
      return;
    }
    response.writeHead(200, isFrame ? { 'Content-Type': 'application/octet-stream' } : { 'Content-Encoding': 'gzip' });
    response.end(bytes);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    requests,
    openSockets: () => sockets.size,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function fail(fault: Fault, bytes: Uint8Array, request: IncomingMessage, response: ServerResponse): void {
  switch (fault.kind) {
    case 'status':
      sendError(response, fault.status, fault.type ?? 'InternalServerException');
      break;
    case 'reset':
      request.socket.resetAndDestroy();
      break;
    case 'cut-connection':
      response.writeHead(200, { 'Content-Length': bytes.length });
      response.write(bytes.subarray(0, bytes.length >> 1), () => request.socket.destroy());
      break;
    case 'stall':
      response.writeHead(200, { 'Content-Length': bytes.length });
      response.write(bytes.subarray(0, 10));
      break;
    case 'trickle': {
      response.writeHead(200, { 'Content-Length': bytes.length });
      let at = 0;
      const timer = setInterval(() => response.write(bytes.subarray(at, ++at)), 20);
      request.socket.on('close', () => clearInterval(timer));
      break;
    }
    case 'bytes':
      response.writeHead(200, { 'Content-Type': fault.type ?? 'application/octet-stream' });
      response.end(fault.bytes);
      break;
  }
}

function sendError(response: ServerResponse, status: number, type: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'x-amzn-errortype': type });
  response.end(JSON.stringify({ message: 'secret detail of the upstream: PATIENT^NAME' }));
}
