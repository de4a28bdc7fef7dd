import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { abortError, EndpointError, throwIfAborted } from '../../errors.ts';
import type { HandlerContext } from '../../handlers/custom/handler-types.ts';
import type { JobItem } from '../protocol.ts';
import type { BundleMessage, ToCustom } from './custom-protocol.ts';

type RunBundle = HandlerContext['runBundle'];

interface Pending {
  readonly resolve: (item: JobItem) => void;
  readonly reject: (error: Error) => void;
}

/** Bodies over this go by file: they would hold up the channel between the processes. */
const inlineBytes = 1024 * 1024;

/** A custom handler's side of `runBundle`: asks the front, which has the bundle run in another process. */
export class BundleCalls {
  readonly #send: (message: BundleMessage) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;

  constructor(send: (message: BundleMessage) => void) {
    this.#send = send;
  }

  /** `runBundle` of one job. */
  runnerFor(scratchDir: string, signal: AbortSignal): RunBundle {
    return async ({ body, bodyPath, headers }) => {
      throwIfAborted(signal);
      const id = this.#nextId++;
      const content =
        bodyPath === undefined ? await this.#spool(body ?? new Uint8Array(), scratchDir, id) : { bodyPath };
      const item = await this.#ask(
        { type: 'bundle', id, request: { ...content, headers: lowerCase(headers) } },
        signal,
      );
      if (!item.ok) throw EndpointError.fromBody(item.error);
      const { result } = item;
      const bytes = result.bodyPath === undefined ? (result.body ?? new Uint8Array()) : await readFile(result.bodyPath);
      return { body: bytes, contentType: result.contentType, status: result.status ?? 200 };
    };
  }

  settle(message: ToCustom): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === 'bundle-result') pending?.resolve(message.item);
    else pending?.reject(EndpointError.fromBody(message.error));
  }

  async #spool(body: Uint8Array, scratchDir: string, id: number): Promise<{ body: Uint8Array } | { bodyPath: string }> {
    if (body.length <= inlineBytes) return { body };
    const bodyPath = join(scratchDir, `bundle-${id}-body`);
    await mkdir(scratchDir, { recursive: true, mode: 0o700 });
    await writeFile(bodyPath, body, { mode: 0o600 });
    return { bodyPath };
  }

  async #ask(message: BundleMessage, signal: AbortSignal): Promise<JobItem> {
    const { id } = message;
    let stop = (): void => undefined;
    try {
      return await new Promise<JobItem>((resolve, reject) => {
        stop = () => reject(abortError(signal));
        signal.addEventListener('abort', stop, { once: true });
        this.#pending.set(id, { resolve, reject });
        this.#send(message);
      });
    } finally {
      signal.removeEventListener('abort', stop);
      this.#pending.delete(id);
    }
  }
}

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
