import { decodeHtj2k } from './decoder.ts';
import { encodeHtj2k } from './encoder.ts';

const side = 256;
let frame: Promise<Uint8Array> | undefined;

/** A slope with noise: every part of the codec has something to do. */
function encodeMadeUpFrame(): Promise<Uint8Array> {
  const pixels = Uint16Array.from({ length: side * side }, (_, n) => 1000 + (n % side) + ((n * 2_654_435_761) % 61));
  return encodeHtj2k(new Uint8Array(pixels.buffer), {
    width: side,
    height: side,
    bitsAllocated: 16,
    samplesPerPixel: 1,
    signed: false,
  });
}

/** Decodes a made-up frame some times: the engine compiles the codec well only after it has seen it work. */
export async function warmUpDecoder({ times }: { readonly times: number }): Promise<void> {
  frame ??= encodeMadeUpFrame();
  for (let n = 0; n < times; n++) await decodeHtj2k(await frame);
}
