import { setTimeout as sleep } from 'node:timers/promises';
import {
  DeleteDatastoreCommand,
  DeleteImageSetCommand,
  GetDatastoreCommand,
  ListDatastoresCommand,
  type MedicalImagingClient,
  ResourceNotFoundException,
} from '@aws-sdk/client-medical-imaging';
import { findImageSets } from '../connectors/healthimaging/find-image-sets.ts';
import { mapWithLimit } from '../connectors/map-with-limit.ts';
import { type ImagingFlags, imagingClient } from './endpoint-clients.ts';
import { ReportedFailure, UsageError } from './exit-codes.ts';
import { type SageMakerResource, SageMakerResources } from './sagemaker-resources.ts';
import { createTerminal, formatTable, type Terminal } from './terminal.ts';

/** What `map-endpoint cleanup` was told. */
export interface CleanupFlags extends ImagingFlags {
  readonly datastore: readonly string[];
  readonly all: boolean;
  readonly keepDatastores: boolean;
  readonly sagemaker?: string;
  readonly sagemakerEndpointUrl?: string;
  readonly yes: boolean;
  readonly json: boolean;
}

interface FoundDatastore {
  readonly datastoreId: string;
  readonly name: string;
  readonly imageSetIds: readonly string[];
}

/** Something that was to be deleted and is still there. */
interface Leftover {
  readonly id: string;
  readonly reason: string;
}

const parallelDeletes = 8;
/** Deleting an image set takes the service seconds; one that is still there after this is a leftover. */
const maxWaitMs = 120_000;

/** `map-endpoint cleanup`: lists, and with `--yes` deletes. */
export async function runCleanup(flags: CleanupFlags): Promise<void> {
  checkFlags(flags);
  const terminal = createTerminal(flags.json);
  const client = imagingClient(flags);
  const sagemaker =
    flags.sagemaker === undefined
      ? undefined
      : new SageMakerResources(flags.region ?? 'us-east-1', flags.sagemakerEndpointUrl);
  try {
    const found = await findAll(client, flags);
    const resources = (await sagemaker?.list(flags.sagemaker as string)) ?? [];
    const rows = found.map((store) => [store.datastoreId, store.name, store.imageSetIds.length] as const);
    if (found.length > 0) {
      for (const row of formatTable([['data store', 'name', 'image sets'], ...rows])) terminal.line(row);
    }
    for (const { kind, name } of resources) terminal.line(`${kind} ${name}`);
    const leftovers = flags.yes ? await deleteAll(client, found, flags, terminal) : [];
    if (flags.yes && sagemaker) leftovers.push(...(await deleteResources(sagemaker, resources)));
    terminal.json({ deleted: flags.yes, datastores: found, sagemaker: resources, leftovers });
    if (!flags.yes) terminal.line('Nothing was deleted: --yes deletes what is listed.');
    else if (flags.keepDatastores) terminal.line('The image sets were deleted, the data stores kept.');
    for (const { id, reason } of leftovers) process.stderr.write(`${id}: ${reason}\n`);
    if (leftovers.length > 0) throw new ReportedFailure(`${leftovers.length} could not be deleted.`);
  } finally {
    client.destroy();
    sagemaker?.close();
  }
}

function checkFlags(flags: CleanupFlags): void {
  if (flags.datastore.length > 0 && flags.all) throw new UsageError('Give --datastore (repeatable), or --all.');
  if (flags.datastore.length === 0 && !flags.all && flags.sagemaker === undefined) {
    throw new UsageError('Give --datastore (repeatable), --all or --sagemaker.');
  }
  if (flags.sagemaker !== undefined && flags.region === undefined && flags.sagemakerEndpointUrl === undefined) {
    throw new UsageError('--sagemaker needs --region.');
  }
}

async function deleteResources(
  sagemaker: SageMakerResources,
  resources: readonly SageMakerResource[],
): Promise<Leftover[]> {
  const leftovers: Leftover[] = [];
  for (const resource of resources) {
    try {
      await sagemaker.delete(resource);
    } catch (error) {
      leftovers.push({ id: `${resource.kind} ${resource.name}`, reason: (error as Error).message });
    }
  }
  return leftovers;
}

async function findAll(client: MedicalImagingClient, flags: CleanupFlags): Promise<FoundDatastore[]> {
  const { signal } = new AbortController();
  const found: FoundDatastore[] = [];
  const ids = flags.all ? await listDatastores(client) : [...new Set(flags.datastore)];
  for (const datastoreId of ids) {
    const { datastoreProperties } = await client.send(new GetDatastoreCommand({ datastoreId }));
    const imageSets = await findImageSets(client, datastoreId, undefined, { signal });
    found.push({
      datastoreId,
      name: datastoreProperties?.datastoreName ?? '',
      imageSetIds: imageSets.map(({ imageSetId }) => imageSetId),
    });
  }
  return found;
}

async function listDatastores(client: MedicalImagingClient): Promise<string[]> {
  const ids: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await client.send(new ListDatastoresCommand({ datastoreStatus: 'ACTIVE', maxResults: 50, nextToken }));
    ids.push(...(page.datastoreSummaries ?? []).map((store) => store.datastoreId ?? '').filter((id) => id !== ''));
    nextToken = page.nextToken;
  } while (nextToken);
  return ids;
}

async function deleteAll(
  client: MedicalImagingClient,
  found: readonly FoundDatastore[],
  flags: CleanupFlags,
  terminal: Terminal,
): Promise<Leftover[]> {
  const leftovers: Leftover[] = [];
  for (const { datastoreId, imageSetIds } of found) {
    terminal.progress(`data store ${datastoreId}: deleting ${imageSetIds.length} image sets`);
    const kept = await deleteImageSets(client, datastoreId, imageSetIds);
    leftovers.push(...kept);
    if (flags.keepDatastores || kept.length > 0) continue;
    try {
      await client.send(new DeleteDatastoreCommand({ datastoreId }));
    } catch (error) {
      leftovers.push({ id: datastoreId, reason: reasonOf(error) });
    }
  }
  return leftovers;
}

/** Deletes and waits until they are gone: a data store that still holds some cannot be deleted. */
async function deleteImageSets(
  client: MedicalImagingClient,
  datastoreId: string,
  imageSetIds: readonly string[],
): Promise<Leftover[]> {
  const refused: Leftover[] = [];
  await mapWithLimit(imageSetIds, parallelDeletes, async (imageSetId) => {
    try {
      await client.send(new DeleteImageSetCommand({ datastoreId, imageSetId }));
    } catch (error) {
      if (!(error instanceof ResourceNotFoundException)) refused.push({ id: imageSetId, reason: reasonOf(error) });
    }
  });
  const given = new Set(refused.map(({ id }) => id));
  const waited = imageSetIds.filter((id) => !given.has(id));
  const until = performance.now() + maxWaitMs;
  for (let waitMs = 50; waited.length > 0; waitMs = Math.min(2_000, waitMs * 2)) {
    const { signal } = new AbortController();
    const there = new Set(
      (await findImageSets(client, datastoreId, undefined, { signal })).map((set) => set.imageSetId),
    );
    const left = waited.filter((id) => there.has(id));
    if (left.length === 0) break;
    if (performance.now() > until) {
      refused.push(...left.map((id) => ({ id, reason: 'it is still being deleted' })));
      break;
    }
    await sleep(waitMs);
  }
  return refused;
}

/** The kind of a service's error: its text may quote anything. */
const reasonOf = (error: unknown): string => (error instanceof Error ? error.name : 'it could not be deleted');
