import { createServer, type Server, type Socket } from 'node:net';
import { asEndpointError } from '../errors.ts';
import { encodeFrame, type Frame, FrameReader, type Tensors, type WindowAnswer, type WindowRequest } from './frame.ts';

/** Runs one window on one of the child's sessions; throws EndpointError. */
export type RunWindow = (sessionId: string, inputs: Tensors) => Promise<Tensors>;

/** Cancelled grants whose window may still come in; older ones have long been answered. */
const keptCancels = 256;

/** The child's socket: pipeline processes connect, send a window, get its answer, one at a time per connection. */
export class WindowServer {
  readonly #run: RunWindow;
  readonly #server: Server;
  readonly #running = new Map<number, Promise<void>>();
  readonly #cancelled = new Set<number>();

  constructor(run: RunWindow) {
    this.#run = run;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  listen(socketPath: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, resolve);
    });
  }

  /** Resolves once the window of this grant does not run, and makes sure that it will not. */
  async cancel(grantId: number): Promise<void> {
    this.#cancelled.add(grantId);
    const oldest = this.#cancelled.values().next();
    if (this.#cancelled.size > keptCancels && !oldest.done) this.#cancelled.delete(oldest.value);
    await this.#running.get(grantId);
  }

  #serve(socket: Socket): void {
    // The client gets its answer or, when its own end went away, needs none.
    socket.on('error', () => socket.destroy());
    // The client's window is run before it sends the next one, so its memory can be used again.
    const reader = new FrameReader<WindowRequest>((frame) => this.#accept(socket, frame), { recycle: true });
    socket.on('data', (chunk) => {
      try {
        reader.feed(chunk);
      } catch {
        socket.destroy();
      }
    });
  }

  #accept(socket: Socket, frame: Frame<WindowRequest>): void {
    const { grantId } = frame.head;
    if (this.#cancelled.delete(grantId)) return;
    const work = this.#answer(socket, frame).finally(() => this.#running.delete(grantId));
    this.#running.set(grantId, work);
  }

  async #answer(socket: Socket, { head, tensors }: Frame<WindowRequest>): Promise<void> {
    let answer: WindowAnswer = { ok: true };
    let parts: Uint8Array[];
    try {
      parts = encodeFrame(answer, await this.#run(head.sessionId, tensors));
    } catch (thrown) {
      answer = { ok: false, error: asEndpointError(thrown).toJSON() };
      parts = encodeFrame(answer, {});
    }
    if (socket.destroyed) return;
    socket.cork();
    for (const part of parts) socket.write(part);
    socket.uncork();
  }
}
