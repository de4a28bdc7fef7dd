import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asEndpointError, EndpointError, throwIfAborted } from '../errors.ts';
import { traced } from '../tracing/traced.ts';
import type { HandlerAnswer } from './answer.ts';
import { answerLine, errorLine } from './answer-line.ts';
import type { Call } from './call.ts';
import { jsonLinesType, readLines } from './json-lines.ts';

export interface LineLimits {
  readonly maxLines: number;
  /** Lines that are worked on at once. */
  readonly concurrentLines: number;
  /** Bytes of all answers together. */
  readonly maxAnswerBytes: number;
}

/** Runs one line as a request of its own. */
type RunLine = (line: Call) => Promise<HandlerAnswer>;

/** A request by reference has some hundred bytes; more than this is none. */
const maxLineBytes = 1024 * 1024;
/** Lines that may be done before the ones in front of them, for each that is worked on. */
const aheadFactor = 4;
const busyWaitMs = 250;
const inferenceIdHeader = 'x-amzn-sagemaker-inference-id';

/**
 * Answers a request of JSON Lines: each line is a request of its own, and its answer stands in the same line of the
 * answer. What fails is an `{"error": …}` in its place; the other lines go on. The deadline holds for the whole: lines
 * that it cuts off say so, and those that were done by then are given.
 *
 * @throws EndpointError `invalid_request` and `payload_too_large` for a body that is not taken at all
 */
export async function answerLines(call: Call, run: RunLine, limits: LineLimits): Promise<HandlerAnswer> {
  const { lines, isTerminated } = await readLines(call.body, limits.maxLines);
  await mkdir(call.scratchDir, { recursive: true, mode: 0o700 });
  const path = join(call.scratchDir, 'answer.jsonl');
  const pending = new Map<number, Promise<Buffer>>();
  const oneName = sharedName(call);
  let running = 0;
  let next = 0;
  let written = 0;
  const start = (): void => {
    const ahead = written + limits.concurrentLines * aheadFactor;
    for (; next < Math.min(lines.length, ahead) && running < limits.concurrentLines; next++) {
      running++;
      const line = { ...lineCall(call, lines[next] as Uint8Array, next), onModel: oneName };
      const answer = answerOne(line, run, () => running > 1).finally(() => {
        running--;
        start();
      });
      pending.set(next, answer);
    }
  };
  const file = await open(path, 'wx', 0o600);
  try {
    for (let leftBytes = limits.maxAnswerBytes; written < lines.length; written++) {
      start();
      let answer = (await pending.get(written)) as Buffer;
      pending.delete(written);
      if (answer.length > leftBytes) answer = errorLine(tooMuch(limits.maxAnswerBytes));
      else leftBytes -= answer.length;
      await file.writeFile(answer);
      // As the request ends, so does the answer: who puts several together knows whether to put ends in between.
      if (written < lines.length - 1 || isTerminated) await file.writeFile('\n');
    }
  } finally {
    await file.close();
  }
  return { ok: true, result: { bodyPath: path, contentType: jsonLinesType }, headers: {} };
}

function lineCall(call: Call, bytes: Uint8Array, index: number): Call {
  // An inference id names one inference: that of a whole request can't be each of its lines'.
  const { [inferenceIdHeader]: _dropped, ...headers } = call.headers;
  return {
    ...call,
    requestId: `${call.requestId}.${index + 1}`,
    startedAt: performance.now(),
    scratchDir: join(call.scratchDir, `line-${index + 1}`),
    span: call.span.child('line', { 'map_endpoint.line': index + 1 }),
    headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
    body: { bytes },
    onProgress: undefined,
  };
}

/** The answer to one line, without its end. Never rejects. */
async function answerOne(line: Call, run: RunLine, othersRun: () => boolean): Promise<Buffer> {
  try {
    return await traced(line.span, async () => {
      throwIfAborted(line.signal);
      checkLine(line.body.bytes as Uint8Array);
      return await answerLine(await runWhenFree(line, run, othersRun));
    });
  } catch (thrown) {
    return errorLine(asEndpointError(thrown));
  } finally {
    await rm(line.scratchDir, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * Runs a line; while the queue is full, or the other lines hold the memory that its model needs, it waits: a line has
 * nobody who would send it again.
 */
async function runWhenFree(line: Call, run: RunLine, othersRun: () => boolean): Promise<HandlerAnswer> {
  for (;;) {
    try {
      return await run(line);
    } catch (thrown) {
      const { code } = asEndpointError(thrown);
      const mayPass = code === 'overloaded' || (code === 'insufficient_memory' && othersRun());
      if (!mayPass || line.signal.aborted) throw thrown;
      await sleep(busyWaitMs, undefined, { signal: line.signal }).catch(() => {
        throw thrown;
      });
    }
  }
}

function checkLine(bytes: Uint8Array): void {
  if (bytes.length > maxLineBytes) {
    throw new EndpointError('payload_too_large', `The line has more than ${maxLineBytes} bytes; it takes references.`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.trim() !== '') JSON.parse(text);
  } catch (cause) {
    throw new EndpointError('invalid_request', 'The line is not valid JSON in UTF-8.', { cause });
  }
  if (text.trim() === '') throw new EndpointError('invalid_request', 'The line is empty.');
}

function tooMuch(maxBytes: number): EndpointError {
  const message = `The answers of the lines before leave no room in the ${maxBytes} bytes of an answer. Give "output": {"uri": …} and results are written there.`;
  return new EndpointError('payload_too_large', message);
}

/** Tells the name of the lines' model, where it is the same in all of them. */
function sharedName(call: Call): (name: string) => void {
  let known: string | undefined;
  return (name) => {
    known = known === undefined || known === name ? name : '';
    call.onModel?.(known);
  };
}
