import type { Request, Response, Router } from 'express';
import type { ComputePool } from '../../compute/pool.ts';
import { transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import { operation } from '../http/respond.ts';
import type { ImageSetFiles } from '../image-set-files.ts';
import { notFound, validation } from '../service-error.ts';
import { dicomJson } from './dicom-json.ts';
import { frameBytesTask } from './frame-bytes-task.ts';
import type { FoundInstance, ImageSetIndex } from './image-set-index.ts';
import { instanceBytesTask, readFrames, type StoredFramesOfInstance } from './instance-bytes-task.ts';
import { acceptedWays, notAcceptable, type Wanted } from './media-types.ts';
import { type AnswerPart, sendMultipart } from './multipart-answer.ts';
import { pathOf } from './path.ts';
import type { RenderWindow } from './render-png.ts';

/** What retrieving works with. */
export interface RetrieveContext {
  readonly index: ImageSetIndex;
  readonly files: ImageSetFiles;
  readonly pool: ComputePool;
}

const studyPath = '/datastore/:datastoreId/studies/:study';
const seriesPath = `${studyPath}/series/:series`;
const instancePath = `${seriesPath}/instances/:instance`;

/** Media types of single-frame codestreams (PS3.18 table 8.7.3-2). */
const codestreamTypes: Readonly<Record<string, string>> = {
  [transferSyntax.htj2kLosslessRpcl]: 'image/jphc',
  [transferSyntax.htj2kLossless]: 'image/jphc',
  [transferSyntax.htj2k]: 'image/jphc',
  [transferSyntax.jpegBaseline]: 'image/jpeg',
  [transferSyntax.jpeg2000Lossless]: 'image/jp2',
  [transferSyntax.jpeg2000]: 'image/jp2',
};

/** WADO-RS: instances, metadata, frames, pictures. */
export function addRetrieveRoutes(router: Router, context: RetrieveContext): void {
  for (const path of [studyPath, seriesPath]) {
    router.get(
      path,
      operation((request, response) => sendInstances(request, response, context)),
    );
    router.get(
      `${path}/metadata`,
      operation((request, response) => sendMetadata(request, response, context)),
    );
  }
  router.get(
    instancePath,
    operation((request, response) => sendInstances(request, response, context)),
  );
  router.get(
    `${instancePath}/metadata`,
    operation((request, response) => sendMetadata(request, response, context)),
  );
  router.get(
    `${instancePath}/frames/:frames`,
    operation((request, response) => sendFrames(request, response, context)),
  );
  for (const path of [`${instancePath}/rendered`, `${instancePath}/frames/:frames/rendered`]) {
    router.get(
      path,
      operation((request, response) => sendPicture(request, response, context)),
    );
  }
}

async function sendMetadata(request: Request, response: Response, { index }: RetrieveContext): Promise<void> {
  acceptedWays(request.get('accept'), ['application/dicom+json', 'application/json']);
  const items: unknown[] = [];
  for await (const instance of index.instances(pathOf(request))) items.push(dicomJson(instance));
  response
    .status(200)
    .type('application/dicom+json')
    .send(Buffer.from(JSON.stringify(items)));
}

async function sendInstances(request: Request, response: Response, context: RetrieveContext): Promise<void> {
  const path = pathOf(request);
  const ways = acceptedWays(request.get('accept'), ['application/dicom']);
  const { index, pool } = context;
  const partOf = async (instance: FoundInstance, among: readonly Wanted[]): Promise<AnswerPart> => {
    const stored = await storedFrames(instance, context);
    const { syntax } = chooseSyntax(among, stored);
    const { attributes, vrs, sopInstanceUid } = instance;
    const input = { attributes, vrs, sopInstanceUid, stored, transferSyntaxUid: syntax };
    const bytes = await pool.run(instanceBytesTask, input, signalOf(response));
    return { contentType: `application/dicom; transfer-syntax=${syntax}`, bytes };
  };
  const [first] = ways;
  if (path.instance !== undefined && first?.multipart === false) {
    const { contentType, bytes } = await partOf(
      await index.instance(path),
      ways.filter((way) => !way.multipart),
    );
    sendWhole(response, contentType, bytes);
    return;
  }
  const multipart = ways.filter((way) => way.multipart);
  if (multipart.length === 0) throw notAcceptable('Several instances are sent as multipart/related.');
  const parts = async function* (): AsyncGenerator<AnswerPart> {
    for await (const instance of index.instances(path)) yield await partOf(instance, multipart);
  };
  await sendMultipart(response, 'application/dicom', parts());
}

async function sendFrames(request: Request, response: Response, context: RetrieveContext): Promise<void> {
  const instance = await context.index.instance(pathOf(request));
  const all = await storedFrames(instance, context);
  if (!all) throw notFound('The instance has no frames.');
  const numbers = frameNumbers(request.params.frames, all.frames.length);
  const ownType = codestreamTypes[all.transferSyntaxUid];
  const offered = ['application/octet-stream', ...(ownType === undefined ? [] : [ownType])];
  const ways = acceptedWays(request.get('accept'), offered).map((way) =>
    way.type === ownType ? { ...way, transferSyntax: way.transferSyntax ?? '*' } : way,
  );
  const { syntax, way } = chooseSyntax(ways, all);
  const contentType = `${way.type}; transfer-syntax=${syntax}`;
  const partOf = async (number: number): Promise<AnswerPart> => {
    const stored = { ...all, frames: all.frames.slice(number - 1, number) };
    const bytes = await frameOf(instance, stored, syntax, context, response);
    return { contentType, location: `${request.path.replace(/\/[^/]+$/, '')}/${number}`, bytes };
  };
  if (!way.multipart) {
    if (numbers.length > 1) throw notAcceptable('Several frames are sent as multipart/related.');
    const { bytes } = await partOf(numbers[0] as number);
    sendWhole(response, contentType, bytes);
    return;
  }
  const parts = async function* (): AsyncGenerator<AnswerPart> {
    for (const number of numbers) yield await partOf(number);
  };
  await sendMultipart(response, way.type, parts());
}

/** A frame's bytes in a syntax: as they lie, or decoded. */
async function frameOf(
  { attributes, vrs }: FoundInstance,
  stored: StoredFramesOfInstance,
  syntax: string,
  { pool }: RetrieveContext,
  response: Response,
): Promise<Uint8Array> {
  if (syntax === stored.transferSyntaxUid) return readFrames(stored)[0] as Uint8Array;
  return pool.run(frameBytesTask, { attributes, vrs, stored, picture: undefined }, signalOf(response));
}

async function sendPicture(request: Request, response: Response, context: RetrieveContext): Promise<void> {
  acceptedWays(request.get('accept'), ['image/png']);
  if (request.query.viewport !== undefined)
    throw validation('viewport is not offered: pictures have the image’s size.');
  const instance = await context.index.instance(pathOf(request));
  const all = await storedFrames(instance, context);
  if (!all) throw notFound('The instance has no frames.');
  const [number = 1, ...more] = frameNumbers(request.params.frames ?? '1', all.frames.length);
  if (more.length > 0) throw notAcceptable('One frame is drawn at a time.');
  const { attributes, vrs } = instance;
  const stored = { ...all, frames: all.frames.slice(number - 1, number) };
  const picture = { window: windowOf(request) };
  const png = await context.pool.run(frameBytesTask, { attributes, vrs, stored, picture }, signalOf(response));
  sendWhole(response, 'image/png', png);
}

/** Where the frames of an instance lie; undefined when it has none. */
async function storedFrames(
  { imageSet, node }: FoundInstance,
  { files }: RetrieveContext,
): Promise<StoredFramesOfInstance | undefined> {
  if (node.ImageFrames.length === 0) return undefined;
  const ids = node.ImageFrames.map(({ ID }) => ID);
  const { path, frames } = await files.places(imageSet, ids);
  return {
    path,
    frames: frames.map((place, at) => ({
      ...place,
      checksum: node.ImageFrames[at]?.PixelDataChecksumFromBaseToFullResolution.at(-1)?.Checksum as number,
    })),
    transferSyntaxUid: node.StoredTransferSyntaxUID ?? transferSyntax.htj2kLosslessRpcl,
  };
}

/**
 * The first way whose transfer syntax can be made: explicit little-endian (the default), the stored one, or `*`.
 *
 * @throws ServiceError `NotAcceptableException`
 */
function chooseSyntax(ways: readonly Wanted[], stored: StoredFramesOfInstance | undefined) {
  const own = stored?.transferSyntaxUid ?? transferSyntax.explicitLittleEndian;
  for (const way of ways) {
    const asked = way.transferSyntax ?? transferSyntax.explicitLittleEndian;
    if (asked === '*' || asked === own) return { way, syntax: own };
    if (asked === transferSyntax.explicitLittleEndian) return { way, syntax: asked };
  }
  throw notAcceptable(
    `The instance can be sent in the transfer syntaxes ${transferSyntax.explicitLittleEndian}, ${own}.`,
  );
}

function frameNumbers(text: unknown, count: number): number[] {
  const numbers = String(text).split(',').map(Number);
  if (!numbers.every((number) => Number.isInteger(number) && number >= 1)) {
    throw validation('Frame numbers are whole numbers from 1, comma-separated.');
  }
  if (numbers.some((number) => number > count)) throw notFound(`The instance has ${count} frames.`);
  return numbers;
}

/** Query parameter `window`: `center,width[,linear]`. */
function windowOf(request: Request): RenderWindow | undefined {
  if (request.query.window === undefined) return undefined;
  const [center, width, shape = 'linear'] = String(request.query.window).split(',');
  const window = { center: Number(center), width: Number(width) };
  const isUsable = Number.isFinite(window.center) && window.width >= 1 && shape.toLowerCase() === 'linear';
  if (!isUsable) throw validation('window is center,width,linear with a width of at least 1.');
  return window;
}

/** Aborts what waits for a thread when the client has gone. */
function signalOf(response: Response): AbortSignal {
  const leaving = new AbortController();
  response.once('close', () => leaving.abort());
  return leaving.signal;
}

function sendWhole(response: Response, contentType: string, bytes: Uint8Array): void {
  response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': bytes.length });
  response.end(bytes);
}
