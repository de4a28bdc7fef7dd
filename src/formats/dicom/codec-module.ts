import { createRequire } from 'node:module';
import { unprocessable } from './unprocessable.ts';

/** What the decoders of the Cornerstone codecs share. Objects of the WASM heap: `delete()` each, or the heap grows. */
export interface WasmDecoder {
  getEncodedBuffer(sizeBytes: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  decode(): void;
  getFrameInfo(): { width: number; height: number; bitsPerSample: number; componentCount: number };
  delete(): void;
}

type DecoderClass = new () => WasmDecoder;
type ModuleFactory = (options: {
  print: (text: string) => void;
  printErr: (text: string) => void;
}) => Promise<Readonly<Record<string, DecoderClass>>>;

const require = createRequire(import.meta.url);
const loaded = new Map<string, Promise<Readonly<Record<string, DecoderClass>>>>();

/**
 * Decodes a codestream with a WASM codec, which is instantiated once per thread on first use. The WASM builds are asked
 * for by name: the packages' default exports are asm.js and ten times slower. Their chatter is silenced.
 *
 * @param packagePath - module whose export is the Emscripten factory
 * @param className - the decoder class in it
 * @throws EndpointError `unprocessable_image` for whatever the codec throws (bare numbers, traps)
 */
export async function decodeWithWasm(packagePath: string, className: string, bytes: Uint8Array): Promise<Uint8Array> {
  let module = loaded.get(packagePath);
  if (!module) {
    const factory = require(packagePath) as ModuleFactory;
    module = factory({ print: () => {}, printErr: () => {} });
    loaded.set(packagePath, module);
  }
  const Decoder = (await module)[className] as DecoderClass;
  const decoder = new Decoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    return decoder.getDecodedBuffer().slice();
  } catch (cause) {
    // After a trap the heap of the instance may be torn: the next frame gets a new one.
    if (cause instanceof Error && cause.name === 'RuntimeError') loaded.delete(packagePath);
    throw unprocessable('The codestream of the frame is damaged and cannot be decoded.', cause);
  } finally {
    try {
      decoder.delete();
    } catch {
      loaded.delete(packagePath);
    }
  }
}
