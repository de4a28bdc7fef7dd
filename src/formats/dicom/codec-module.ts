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
type WasmModule = Readonly<Record<string, DecoderClass>>;

/** What the codec packages export: instantiates the module. */
export type WasmFactory = (options: {
  print: (text: string) => void;
  printErr: (text: string) => void;
}) => Promise<WasmModule>;

/** A codec: where its module comes from, and the decoder class in it. */
export interface WasmCodec {
  readonly className: string;
  readonly load: () => Promise<{ readonly default: WasmFactory }>;
}

const instances = new Map<WasmCodec, Promise<WasmModule>>();

async function instantiate(codec: WasmCodec): Promise<WasmModule> {
  const { default: factory } = await codec.load();
  return factory({ print: () => {}, printErr: () => {} });
}

/**
 * Decodes a codestream with a WASM codec, which is instantiated once per thread on first use and silenced.
 *
 * @throws EndpointError `unprocessable_image` for whatever the codec throws (bare numbers, traps)
 */
export async function decodeWithWasm(codec: WasmCodec, bytes: Uint8Array): Promise<Uint8Array> {
  let instance = instances.get(codec);
  if (!instance) {
    instance = instantiate(codec);
    instances.set(codec, instance);
  }
  const Decoder = (await instance)[codec.className] as DecoderClass;
  const decoder = new Decoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    return decoder.getDecodedBuffer().slice();
  } catch (cause) {
    // After a trap the heap of the instance may be torn: the next frame gets a new one.
    if (cause instanceof Error && cause.name === 'RuntimeError') instances.delete(codec);
    throw unprocessable('The codestream of the frame is damaged and cannot be decoded.', cause);
  } finally {
    try {
      decoder.delete();
    } catch {
      instances.delete(codec);
    }
  }
}
