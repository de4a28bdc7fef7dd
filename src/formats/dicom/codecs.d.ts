/** The untyped codec packages: each WASM build exports an Emscripten factory. */
declare module '@cornerstonejs/codec-openjpeg/decodewasmjs' {
  const factory: import('./codec-module.ts').WasmFactory;
  export default factory;
}
declare module '@cornerstonejs/codec-charls/decodewasmjs' {
  const factory: import('./codec-module.ts').WasmFactory;
  export default factory;
}
declare module '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs' {
  const factory: import('./codec-module.ts').WasmFactory;
  export default factory;
}
declare module 'jpeg-lossless-decoder-js' {
  export class Decoder {
    decode(buffer: ArrayBufferLike, offset: number, length: number): Uint8Array | Uint16Array;
  }
}
