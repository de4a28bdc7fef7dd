import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EndpointError } from '../errors.ts';
import type { AsyncNotification, Notifier } from './notification.ts';

/** Appends each notification as a line of a JSON Lines file. */
export class FileNotifier implements Notifier {
  readonly #path: string;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  notify(_id: string, message: AsyncNotification): Promise<void> {
    const appended = this.#last.then(() => this.#append(JSON.stringify(message)));
    this.#last = appended.catch(() => undefined);
    return appended;
  }

  async #append(line: string): Promise<void> {
    const file = await open(this.#path, 'a+', 0o600);
    try {
      const { size } = await file.stat();
      // A power cut in the middle of a line must not take the next one with it.
      const torn = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString() !== '\n';
      await file.appendFile(`${torn ? '\n' : ''}${line}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

export interface WebhookOptions {
  /** Waits between the attempts, in milliseconds. @default [1000, 4000, 16000] */
  readonly waitsMs?: readonly number[];
  /** @default 10000 */
  readonly timeoutMs?: number;
}

/** Posts each notification to a URL, as SNS does with raw message delivery. */
export class WebhookNotifier implements Notifier {
  readonly #url: string;
  readonly #waitsMs: readonly number[];
  readonly #timeoutMs: number;

  constructor(url: string, options: WebhookOptions = {}) {
    this.#url = url;
    this.#waitsMs = options.waitsMs ?? [1_000, 4_000, 16_000];
    this.#timeoutMs = options.timeoutMs ?? 10_000;
  }

  async notify(id: string, message: AsyncNotification, signal: AbortSignal): Promise<void> {
    for (const waitMs of [...this.#waitsMs, undefined]) {
      const status = await this.#post(id, JSON.stringify(message), signal);
      if (status >= 200 && status < 300) return;
      if (waitMs === undefined) break;
      await sleep(waitMs, undefined, { ref: false, signal });
    }
    throw new EndpointError('upstream_failed', 'The webhook of notifications does not answer with 2xx.');
  }

  /** The status of the answer; 0 when there was none. */
  async #post(id: string, body: string, stop: AbortSignal): Promise<number> {
    const headers = {
      'content-type': 'application/json',
      'x-amz-sns-message-type': 'Notification',
      'x-amz-sns-message-id': id,
      'x-amz-sns-rawdelivery': 'true',
    };
    const signal = AbortSignal.any([stop, AbortSignal.timeout(this.#timeoutMs)]);
    try {
      const response = await fetch(this.#url, { method: 'POST', headers, body, signal, redirect: 'error' });
      await response.body?.cancel();
      return response.status;
    } catch {
      return 0;
    }
  }
}
