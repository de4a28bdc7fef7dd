import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { InvocationAnswer } from '../api/invocation.ts';
import { placeBundles, packBundles as writeArchive } from '../archive/pack.ts';
import { unpackArchive } from '../archive/unpack.ts';
import { EndpointError } from '../errors.ts';
import { archiveLimits } from './archive-limits.ts';
import { UsageError } from './exit-codes.ts';
import { invokeModel } from './invoke-model.ts';
import { startOwnEndpoint } from './own-endpoint.ts';

/** An endpoint of our own that serves one archive. */
export interface ArchiveEndpoint {
  /** Runs the archive on an image; the files come in the answer. */
  invoke(inferenceId: string): Promise<InvocationAnswer>;
  stop(): Promise<void>;
}

const target = 'model.tar.gz';

/**
 * Starts an endpoint with one archive, and an image for it.
 *
 * @param image - a NIfTI or zip file, or a folder of DICOM files
 * @param outputs - types of results in place of those of its `map.json`, whose segments stay
 * @throws EndpointError `invalid_archive`, `input_not_found`
 */
export async function serveArchive(
  archive: string,
  image: string,
  outputs?: readonly string[],
): Promise<ArchiveEndpoint> {
  const workDir = await mkdtemp(join(tmpdir(), 'map-endpoint-archive-'));
  try {
    const models = join(workDir, 'models');
    await mkdir(models);
    const isBundle = (await stat(archive).catch(noArchive(archive))).isDirectory();
    if (outputs) await repack(archive, join(workDir, 'bundle'), join(models, target), outputs);
    else if (isBundle) await pack(archive, join(models, target));
    else await copyFile(archive, join(models, target));
    const isFolder = (await stat(image).catch(noImage(image))).isDirectory();
    const request = isFolder ? folderRequest(image) : await fileRequest(image);
    const endpoint = await startOwnEndpoint({
      models,
      data: join(workDir, 'data'),
      allow: isFolder ? [resolve(image)] : [],
    });
    return {
      invoke: (inferenceId) => invokeModel({ endpointUrl: endpoint.url, targetModel: target, ...request(inferenceId) }),
      stop: async () => {
        await endpoint.stop();
        await rm(workDir, { recursive: true, force: true });
      },
    };
  } catch (thrown) {
    await rm(workDir, { recursive: true, force: true });
    throw thrown;
  }
}

type Request = { readonly body: Uint8Array | string; readonly contentType: string };

/** Each request is an inference of its own, so that nothing is taken from one before. */
function folderRequest(folder: string): (inferenceId: string) => Request {
  const uri = `${pathToFileURL(resolve(folder)).href.replace(/\/$/, '')}/`;
  return (inferenceId) => ({
    contentType: 'application/json',
    body: JSON.stringify({ inputs: [{ uri }], inferenceId }),
  });
}

async function fileRequest(path: string): Promise<() => Request> {
  const name = basename(path).toLowerCase();
  const isZip = name.endsWith('.zip');
  if (!isZip && !/\.nii(\.gz)?$/.test(name)) {
    throw new UsageError('An image is a folder, a .zip of DICOM files, or a .nii or .nii.gz file.');
  }
  const body = await readFile(path);
  return () => ({ body, contentType: isZip ? 'application/zip' : 'application/x-nifti' });
}

async function pack(dir: string, packed: string): Promise<void> {
  const { signal } = new AbortController();
  await writeArchive(await placeBundles([dir], archiveLimits, signal), packed, signal);
}

/** Packs an archive again with other results asked for. */
async function repack(archive: string, dir: string, packed: string, outputs: readonly string[]): Promise<void> {
  const { signal } = new AbortController();
  const isFolder = (await stat(archive)).isDirectory();
  const source = isFolder ? archive : dir;
  if (!isFolder) await unpackArchive(archive, dir, archiveLimits, signal);
  const [bundle, ...others] = await placeBundles([source], archiveLimits, signal);
  if (!bundle || others.length > 0) {
    throw new EndpointError('invalid_request', 'The archive holds several bundles: give one of their folders.');
  }
  const mapPath = join(bundle.dir, 'map.json');
  const map = JSON.parse(await readFile(mapPath, 'utf8').catch(() => '{}')) as {
    outputs?: readonly { readonly segments?: unknown }[];
  };
  const segments = map.outputs?.find((output) => output.segments !== undefined)?.segments;
  const changed = outputs.map((type, index) => ({ type, ...(index === 0 && segments ? { segments } : {}) }));
  const replaced = join(dir, '..', 'map.json');
  await writeFile(replaced, JSON.stringify({ ...map, outputs: changed }));
  const own = isFolder ? join(dir, '..', 'copy') : bundle.dir;
  if (isFolder) {
    for (const { path } of bundle.files) {
      await mkdir(join(own, path, '..'), { recursive: true });
      await copyFile(join(bundle.dir, path), join(own, path));
    }
  }
  await copyFile(replaced, join(own, 'map.json'));
  await pack(own, packed);
}

const noArchive =
  (path: string) =>
  (cause: unknown): never => {
    throw new EndpointError('invalid_archive', `There is no archive "${path}".`, { cause });
  };

const noImage =
  (path: string) =>
  (cause: unknown): never => {
    throw new EndpointError('input_not_found', `There is no file or folder "${path}".`, { cause });
  };
