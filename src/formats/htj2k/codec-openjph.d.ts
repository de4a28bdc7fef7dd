/** The untyped codec package: an Emscripten factory. */
declare module '@cornerstonejs/codec-openjph' {
  const factory: (options: {
    print: (text: string) => void;
    printErr: (text: string) => void;
  }) => Promise<import('./openjph.ts').OpenJph>;
  export default factory;
}
