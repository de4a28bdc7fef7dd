import { link, lstat, mkdir, realpath, rename } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { EndpointError } from '../../errors.ts';
import type { HandlerRequest } from '../../handlers/contract.ts';
import type { JobItem } from '../protocol.ts';

/** Spooled bodies under the folder that custom code may read: the same files, under a second name. */
export async function shareBodies(requests: readonly HandlerRequest[], jobDir: string): Promise<HandlerRequest[]> {
  return await Promise.all(
    requests.map(async (request, index) => {
      if (request.bodyPath === undefined) return request;
      const bodyPath = join(jobDir, `body-${index}`);
      await link(request.bodyPath, bodyPath);
      return { ...request, bodyPath };
    }),
  );
}

/**
 * Takes the result files of custom code over into the request's folder. A file that lies elsewhere, or is none, would
 * have the front read out what the code itself may not.
 *
 * @throws EndpointError `model_failed`
 */
export async function takeResults(items: readonly JobItem[], jobDir: string, toDir: string): Promise<JobItem[]> {
  const taken: JobItem[] = [];
  for (const [index, item] of items.entries()) {
    if (!item.ok || item.result.bodyPath === undefined) {
      taken.push(item);
      continue;
    }
    await checkInside(item.result.bodyPath, jobDir);
    await mkdir(toDir, { recursive: true, mode: 0o700 });
    const bodyPath = join(toDir, `handler-result-${index}`);
    await rename(item.result.bodyPath, bodyPath);
    // Looked at where custom code can't change it any more.
    if (!(await lstat(bodyPath)).isFile()) throw notOwn();
    taken.push({ ...item, result: { ...item.result, bodyPath } });
  }
  return taken;
}

/**
 * Checks that a path which custom code named leads to something of its job's folder.
 *
 * @throws EndpointError `model_failed`
 */
export async function checkInside(path: string, jobDir: string): Promise<void> {
  const real = path.includes('\0') ? undefined : await realpath(path).catch(() => undefined);
  if (real?.startsWith(jobDir + sep) !== true) throw notOwn();
}

const notOwn = (): EndpointError =>
  new EndpointError('model_failed', 'The handler named a file that does not lie in context.scratchDir.');
