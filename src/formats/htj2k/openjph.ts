/** What OpenJPH says of a codestream. */
export interface OpenJphFrameInfo {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
  readonly isSigned: boolean;
  readonly isUsingColorTransform: boolean;
}

/** Objects of the WASM heap: each must be `delete()`d, or the heap grows. */
export interface OpenJphDecoder {
  getEncodedBuffer(sizeBytes: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  readHeader(): void;
  decode(): void;
  decodeSubResolution(level: number): void;
  calculateSizeAtDecompositionLevel(level: number): { width: number; height: number };
  getFrameInfo(): OpenJphFrameInfo;
  getNumDecompositions(): number;
  getIsHeaderValid(): boolean;
  getLastErrorMessage(): string;
  delete(): void;
}

export interface OpenJphEncoder {
  getDecodedBuffer(info: OpenJphFrameInfo): Uint8Array;
  getEncodedBuffer(): Uint8Array;
  encode(): void;
  setDecompositions(levels: number): void;
  setQuality(lossless: boolean, step: number): void;
  setProgressionOrder(order: number): void;
  setTLMMarker(present: boolean): void;
  setTilePartDivisionsAtResolutions(divided: boolean): void;
  delete(): void;
}

export interface OpenJph {
  readonly HTJ2KDecoder: new () => OpenJphDecoder;
  readonly HTJ2KEncoder: new () => OpenJphEncoder;
}

let loading: Promise<OpenJph> | undefined;

/** The OpenJPH WASM module, instantiated once per thread on first use. */
export function openJph(): Promise<OpenJph> {
  loading ??= import('@cornerstonejs/codec-openjph').then(({ default: factory }) =>
    factory({ print: () => {}, printErr: () => {} }),
  );
  return loading;
}

/** Forgets the instance, so that the next frame gets a new one: after a trap its heap may be torn. */
export function discardOpenJph(): void {
  loading = undefined;
}
