import { open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, publishFolder, readJson, replaceFile, syncFolder, writeFlushed } from '../durable-files.ts';
import { EndpointError } from '../errors.ts';
import type { AsyncJob, AsyncOutcome } from './async-job.ts';

const recordFile = 'job.json';
const outcomeFile = 'outcome.json';
/** Folders that are not jobs yet, or no longer. */
const unfinishedPrefix = '.';

/** An answer before it is the job's: bytes, or a file that is moved in (from the same file system). */
export type AnswerContent = { readonly bytes: Uint8Array } | { readonly path: string };

/**
 * The jobs that are not finished, each a folder: its record, its body where it came with the call, and, once it has run,
 * its outcome with the answer. A folder appears and goes whole by a rename, so a killed process loses no job that
 * `add` has acknowledged and never runs one again that `settle` has ended.
 */
export class JobFolder {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens the folder, in whose parent it is made; what a killed process left half-made or half-removed goes. */
  static async open(dir: string): Promise<JobFolder> {
    await makeFolder(dir);
    for (const name of await readdir(dir)) {
      if (name.startsWith(unfinishedPrefix)) await rm(join(dir, name), { recursive: true, force: true });
    }
    return new JobFolder(dir);
  }

  /** The jobs that wait to be run or to be delivered, in the order in which they came. */
  async list(): Promise<AsyncJob[]> {
    const names = (await readdir(this.#dir)).filter((name) => !name.startsWith(unfinishedPrefix));
    const jobs = await Promise.all(names.map((name) => readJson<AsyncJob>(join(this.#dir, name, recordFile))));
    return jobs.sort((a, b) => a.receivedAtMs - b.receivedAtMs || (a.jobId < b.jobId ? -1 : 1));
  }

  /** Keeps a job; from the return on it survives a kill and a power cut. */
  async add(job: AsyncJob, body?: Uint8Array): Promise<void> {
    const staged = join(this.#dir, `${unfinishedPrefix}new-${job.jobId}`);
    try {
      await makeFolder(staged);
      if (body) await writeFlushed(join(staged, 'body'), body);
      await writeFlushed(join(staged, recordFile), JSON.stringify(job));
      await publishFolder(staged, join(this.#dir, job.jobId));
    } catch (thrown) {
      await rm(staged, { recursive: true, force: true }).catch(() => undefined);
      throw diskError(thrown);
    }
  }

  /** The body that came with the call. */
  bodyPath(jobId: string): string {
    return join(this.#dir, jobId, 'body');
  }

  /** What a settled job gave. An error has a file of its own: it may come after an answer that could not be delivered. */
  answerPath(jobId: string, outcome: AsyncOutcome): string {
    return join(this.#dir, jobId, outcome.ok ? 'answer' : 'error');
  }

  /** Keeps how a job ended; from the return on it is not run again. */
  async settle(jobId: string, outcome: AsyncOutcome, answer: AnswerContent): Promise<void> {
    const path = this.answerPath(jobId, outcome);
    if ('bytes' in answer) {
      await writeFlushed(path, answer.bytes);
    } else {
      await flush(answer.path);
      await rename(answer.path, path);
    }
    await replaceFile(join(this.#dir, jobId, outcomeFile), JSON.stringify(outcome));
  }

  /** How a job ended; undefined when it is still to be run. */
  async outcome(jobId: string): Promise<AsyncOutcome | undefined> {
    try {
      return await readJson<AsyncOutcome>(join(this.#dir, jobId, outcomeFile));
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw thrown;
    }
  }

  /** Forgets a job. */
  async remove(jobId: string): Promise<void> {
    const gone = join(this.#dir, `${unfinishedPrefix}gone-${jobId}`);
    await rename(join(this.#dir, jobId), gone);
    await syncFolder(this.#dir);
    await rm(gone, { recursive: true, force: true });
  }
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function diskError(thrown: unknown): unknown {
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new EndpointError('overloaded', 'The disk of the server is full; the job was not taken.', { cause: thrown });
  }
  return thrown;
}
