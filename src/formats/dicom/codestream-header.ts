/** Sizes that a codestream declares, read without a codec: what a bomb claims is known before anything is allocated. */
export interface CodestreamHeader {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly bitsPerSample: number;
  /** Only JPEG 2000 tells; undefined elsewhere. */
  readonly signed: boolean | undefined;
  /** Low byte of the SOF marker of a JPEG or JPEG-LS stream: 0xc0 baseline, 0xc3 lossless, 0xf7 JPEG-LS. */
  readonly frameMarker: number | undefined;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The codestream in a JP2 file (ISO 15444-1 annex I), which some writers encapsulate against PS3.5; else the bytes. */
export function unwrapJp2(bytes: Uint8Array): Uint8Array {
  const view = viewOf(bytes);
  if (bytes.length < 12 || view.getUint32(4) !== 0x6a502020) return bytes;
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x6a703263) return bytes.subarray(at + 8);
    if (length < 8) break;
    at += length;
  }
  return bytes;
}

/** Reads SIZ of a JPEG 2000 or HTJ2K codestream (ISO 15444-1 A.5.1); undefined when there is none. */
export function jpeg2000Header(bytes: Uint8Array): CodestreamHeader | undefined {
  const view = viewOf(bytes);
  // SOC, SIZ, Lsiz, Rsiz, then the reference grid; 42 bytes hold everything up to the first component.
  if (bytes.length < 45 || view.getUint32(0) !== 0xff4fff51) return undefined;
  const right = view.getUint32(8);
  const bottom = view.getUint32(12);
  const left = view.getUint32(16);
  const top = view.getUint32(20);
  const components = view.getUint16(40);
  const depth = bytes[42] as number;
  if (right <= left || bottom <= top || components === 0) return undefined;
  if (bytes.length < 42 + components * 3) return undefined;
  for (let component = 0; component < components; component++) {
    const at = 42 + component * 3;
    // Components of different depth or subsampled ones make no DICOM frame.
    if (bytes[at] !== depth || bytes[at + 1] !== 1 || bytes[at + 2] !== 1) return undefined;
  }
  return {
    width: right - left,
    height: bottom - top,
    components,
    bitsPerSample: (depth & 0x7f) + 1,
    signed: (depth & 0x80) !== 0,
    frameMarker: undefined,
  };
}

const isFrameMarker = (marker: number): boolean =>
  (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) || marker === 0xf7;

/** Reads SOF of a JPEG or JPEG-LS stream (ISO 10918-1 B.2.2, 14495-1 C.2.2); undefined when there is none. */
export function jpegHeader(bytes: Uint8Array): CodestreamHeader | undefined {
  const view = viewOf(bytes);
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return undefined;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1] as number;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (isFrameMarker(marker)) {
      if (at + 10 > bytes.length) return undefined;
      return {
        width: view.getUint16(at + 7),
        height: view.getUint16(at + 5),
        components: bytes[at + 9] as number,
        bitsPerSample: bytes[at + 4] as number,
        signed: undefined,
        frameMarker: marker,
      };
    }
    at += 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** True when a JPEG stream says by an Adobe segment whether its colours are transformed. */
export function hasAdobeSegment(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda; ) {
    // A shorter segment is ignored by decoders, so it says nothing.
    const isWhole = view.getUint16(at + 2) >= 14;
    if (bytes[at + 1] === 0xee && isWhole && view.getUint32(at + 4) === 0x41646f62) return true;
    at += 2 + view.getUint16(at + 2);
  }
  return false;
}
