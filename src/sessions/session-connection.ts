import { connect, type Socket } from 'node:net';
import { EndpointError } from '../errors.ts';
import type { AnswerRoom } from '../imaging/network.ts';
import type { Tensor } from '../imaging/tensor.ts';
import { encodeFrame, type Frame, FrameReader, type Tensors, type WindowAnswer, type WindowRequest } from './frame.ts';

/** The child's end of the connection went away, or spoke nonsense: the window may be run again elsewhere. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

interface Pending {
  readonly resolve: (answer: Frame<WindowAnswer>) => void;
  readonly reject: (error: Error) => void;
}

/** One connection to a session child; one window at a time. */
export class SessionConnection {
  readonly #socket: Socket;
  #pending: Pending | undefined;
  #room: AnswerRoom | undefined;
  #lost: ConnectionLost | undefined;

  constructor(socketPath: string) {
    const reader = new FrameReader<WindowAnswer>((frame) => this.#answered(frame), {
      memory: (bytes) => this.#room?.memory(bytes),
    });
    this.#socket = connect({
      path: socketPath,
      // Reads go straight to where the bytes belong; the types know the second parameter only.
      onread: {
        buffer: () => reader.target(),
        callback: (length: number) => {
          try {
            reader.filled(length);
            return true;
          } catch (cause) {
            this.#fail(cause);
            return false;
          }
        },
      },
    });
    this.#socket.on('error', (cause) => this.#fail(cause));
    this.#socket.on('close', () => this.#fail(undefined));
  }

  /** False once the connection is of no more use. */
  get usable(): boolean {
    return this.#lost === undefined;
  }

  /**
   * Sends a window and waits for its answer.
   *
   * @param room - for the answer: nothing of it is read before it is admitted
   * @throws ConnectionLost; EndpointError as the child gave it
   */
  async run(request: WindowRequest, inputs: Tensors, room?: AnswerRoom): Promise<Record<string, Tensor>> {
    const parts = encodeFrame(request, inputs);
    this.#room = room;
    const { head, tensors } = await new Promise<Frame<WindowAnswer>>((resolve, reject) => {
      if (this.#lost) {
        reject(this.#lost);
        return;
      }
      this.#pending = { resolve, reject };
      this.#socket.ref();
      this.#socket.cork();
      for (const part of parts) this.#socket.write(part);
      this.#socket.uncork();
      if (room) this.#holdBack(room);
    });
    if (!head.ok) throw EndpointError.fromBody(head.error);
    return tensors;
  }

  /** Drops the connection; a window that waits on it gets {@link ConnectionLost}. */
  close(): void {
    this.#socket.destroy();
    this.#fail(undefined);
  }

  /** Leaves the answer in the child, which waits in its write, until it is admitted. */
  #holdBack(room: AnswerRoom): void {
    this.#socket.pause();
    const goOn = (): void => void this.#socket.resume();
    room.admit().then(goOn, goOn);
  }

  #answered(frame: Frame<WindowAnswer>): void {
    const pending = this.#pending;
    this.#pending = undefined;
    this.#room = undefined;
    this.#socket.unref(); // an idle connection keeps no process alive
    pending?.resolve(frame);
  }

  #fail(cause: unknown): void {
    if (this.#lost) return;
    this.#lost = new ConnectionLost('The connection to a session child was lost.', { cause });
    this.#socket.destroy();
    this.#pending?.reject(this.#lost);
    this.#pending = undefined;
  }
}
