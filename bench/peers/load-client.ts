import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** One HTTP request, ready to be sent again and again. */
export interface Call {
  readonly url: string;
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Uint8Array;
}

/** Sends a call over a kept connection; gives status and body. */
export function send(call: Call, agent?: Agent): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': call.body?.length ?? 0, ...call.headers };
    const sent = request(
      call.url,
      { method: call.method ?? 'POST', headers, ...(agent ? { agent } : {}) },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(parts) }));
        answer.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(call.body);
  });
}

/** Sends a call and throws unless it succeeded. */
export async function sendWell(call: Call, agent?: Agent): Promise<Buffer> {
  const { status, body } = await send(call, agent);
  if (status !== 200) throw new Error(`${call.url} answered ${status}: ${body.toString('utf8', 0, 300)}`);
  return body;
}

export interface LoadFigures {
  /** Milliseconds, sorted. */
  readonly timesMs: readonly number[];
  readonly perSecond: number;
}

/** Sends a fixed number of calls, so many at once over kept connections; each answer must be whole. */
export async function loadTest(call: Call, count: number, concurrency: number, check: (body: Buffer) => boolean) {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const timesMs: number[] = [];
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const from = performance.now();
      const body = await sendWell(call, agent);
      timesMs.push(performance.now() - from);
      if (!check(body)) throw new Error(`${call.url} gave back something else`);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: concurrency }, client));
  const seconds = (performance.now() - startedAt) / 1000;
  agent.destroy();
  return { timesMs: timesMs.sort((a, b) => a - b), perSecond: count / seconds } satisfies LoadFigures;
}

export const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;

/** Milliseconds until a call succeeds, tried again and again. */
export async function untilWell(call: Call, limitMs: number): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const status = await send(call).then(
      (answer) => answer.status,
      () => 0,
    );
    const ms = performance.now() - startedAt;
    if (status === 200) return ms;
    if (ms > limitMs) return Infinity;
    await sleep(5);
  }
}
