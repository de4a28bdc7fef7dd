import { pipeline } from 'node:stream/promises';
import type { Response, Router } from 'express';
import type { ImageSetFiles } from '../image-set-files.ts';
import { frameShape, parseId, parseShape } from '../wire.ts';
import { operation } from './respond.ts';

export const framePath = '/datastore/:datastoreId/imageSet/:imageSetId/getImageFrame';

/** Buffers kept for the frames to come: about as many as a client asks for at once. */
const keptBuffers = 32;

/** `GetImageFrame`: the operation that is called for every frame of a series, thousands of times where others are called once. */
export function addFrameRoute(router: Router, files: ImageSetFiles): void {
  const kept: Buffer[] = [];
  const take = (lengthBytes: number): Buffer => {
    const last = kept.pop();
    return last !== undefined && last.length >= lengthBytes ? last : Buffer.allocUnsafeSlow(lengthBytes + 16_384);
  };

  router.post(
    framePath,
    operation(async (request, response) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const imageSetId = parseId(request.params.imageSetId, 'imageSetId');
      const { imageFrameId } = parseShape(frameShape, request.body ?? {}, 'imageFrameInformation');
      const { content, lengthBytes, memory } = await files.frame(datastoreId, imageSetId, imageFrameId, take);
      writeHead(response, lengthBytes);
      if (!Buffer.isBuffer(content)) {
        await pipeline(content, response);
        return;
      }
      // Only where all of it has left: what a broken connection still holds may be read yet.
      response.once('finish', () => {
        if (memory !== undefined && kept.length < keptBuffers) kept.push(memory);
      });
      response.end(content);
    }),
  );
}

/** `response.send` would add a charset and an ETag over the whole body. */
function writeHead(response: Response, lengthBytes: number): void {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': lengthBytes });
}
