import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Logger, loggableError } from '../../logger.ts';
import { type CommitContext, commitImageSets } from '../import/commit-image-sets.ts';
import type { NumberedInstance } from '../import/group-instances.ts';
import { JobFailure } from '../import/input-files.ts';
import { stageFile } from '../import/stage-file.ts';
import { ServiceError } from '../service-error.ts';
import type { WriteLocks } from '../write-locks.ts';
import { writeParts } from './multipart-request.ts';

export interface StoreContext extends CommitContext {
  readonly locks: WriteLocks;
  readonly logger: Logger;
  readonly quotas: { readonly bytesPerFile: number; readonly bytesPerStore: number };
}

/** What became of one part of a store request. */
export type StoreResult =
  | {
      readonly kind: 'stored';
      readonly studyUid: string;
      readonly seriesUid: string;
      readonly sopClassUid: string;
      readonly sopInstanceUid: string;
      readonly warningCode: number | undefined;
    }
  | {
      readonly kind: 'failed';
      /** (0008,1197), PS3.18 table I.2-2. */
      readonly reason: number;
      readonly sopClassUid?: string;
      readonly sopInstanceUid?: string;
    };

const reasons = { processingFailure: 0x0110, noSuchMedia: 0xc000, otherStudy: 0xc409 } as const;

/**
 * Takes the instances of a STOW-RS body: as an import job does, but done when this resolves. What was stored is
 * durable; every part has a result.
 *
 * @param study - the study that the path names: instances of another one are refused
 */
export async function storeInstances(
  datastoreId: string,
  study: string | undefined,
  body: Readable,
  boundary: string,
  context: StoreContext,
): Promise<StoreResult[]> {
  const { catalog, pool, quotas, signal } = context;
  catalog.datastore(datastoreId);
  const staging = join(catalog.layout.tmp, `store-${randomUUID()}`);
  await mkdir(staging, { recursive: true });
  try {
    const partFile = (number: number) => join(staging, `${number}.dcm`);
    const types = await writeParts(body, boundary, partFile, quotas.bytesPerStore);
    const results: StoreResult[] = new Array(types.length);
    const staged: NumberedInstance[] = [];
    await Promise.all(
      types.map(async (type, number) => {
        if (type !== 'application/dicom') {
          results[number] = { kind: 'failed', reason: reasons.noSuchMedia };
          return;
        }
        const target = join(staging, String(number));
        const input = { sourcePath: undefined, target, bytesPerFile: quotas.bytesPerFile };
        const outcome = await stageFile(pool, input, signal);
        if (outcome.kind === 'disk-full') throw diskIsFull();
        if (outcome.kind === 'failed') {
          results[number] = { kind: 'failed', reason: reasons.noSuchMedia };
          return;
        }
        const { instance } = outcome;
        if (study === undefined || study === instance.studyInstanceUid) staged.push({ number, instance });
        else {
          const { sopClassUid, sopInstanceUid } = instance;
          results[number] = { kind: 'failed', reason: reasons.otherStudy, sopClassUid, sopInstanceUid };
        }
      }),
    );
    staged.sort((a, b) => a.number - b.number);
    await commit(datastoreId, staging, staged, results, context);
    return results;
  } catch (error) {
    if (error instanceof JobFailure || (error as NodeJS.ErrnoException).code === 'ENOSPC') throw diskIsFull();
    throw error;
  } finally {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function commit(
  datastoreId: string,
  staging: string,
  staged: readonly NumberedInstance[],
  results: StoreResult[],
  context: StoreContext,
): Promise<void> {
  const release = await context.locks.acquire(datastoreId);
  try {
    for (const { number, instance } of staged) {
      const { sopClassUid, sopInstanceUid } = instance;
      results[number] = { kind: 'failed', reason: reasons.processingFailure, sopClassUid, sopInstanceUid };
    }
    const source = { datastoreId, importId: randomUUID(), isRepeated: false, staging };
    for await (const { plan } of commitImageSets(source, staged, context)) {
      for (const { number, instance } of plan.instances) {
        results[number] = {
          kind: 'stored',
          studyUid: instance.studyInstanceUid,
          seriesUid: instance.seriesInstanceUid,
          sopClassUid: instance.sopClassUid,
          sopInstanceUid: instance.sopInstanceUid,
          warningCode: instance.warnings?.[0]?.code,
        };
      }
    }
  } catch (error) {
    // What was committed before stays, and is told; the rest is told as failed.
    if (!results.some((result) => result?.kind === 'stored')) throw error;
    context.logger.warn({ datastoreId, error: loggableError(error) }, 'a store request was stored in part');
  } finally {
    release();
  }
}

const diskIsFull = (): ServiceError =>
  new ServiceError('InternalServerException', 'The disk of the server is full. Nothing of the request was stored.');
