import { crc32 } from 'node:zlib';
import { useDecodedHtj2k } from '../htj2k/decoder.ts';
import { decodeWithWasm, type WasmCodec } from './codec-module.ts';
import { isWholeJpeg, isWholeJpeg2000 } from './codestream-end.ts';
import { type CodestreamHeader, hasAdobeSegment, jpeg2000Header, jpegHeader, unwrapJp2 } from './codestream-header.ts';
import { frameBytes, type ImagePixelFormat } from './image-pixel.ts';
import { decodeRle } from './rle.ts';
import { fitSamples, interleavePlanes } from './samples.ts';
import { isNativeSyntax, transferSyntax } from './transfer-syntax.ts';
import { unprocessable } from './unprocessable.ts';

/** One encoded frame and what its image says of it. */
export interface FrameDecodeInput extends ImagePixelFormat {
  /** A frame as `Part10File.frame` and `SourceInstance.readFrame` give it. */
  readonly bytes: Uint8Array;
  readonly transferSyntaxUid: string;
  /** CRC-32 of the decoded little-endian frame, where the source tells it. */
  readonly expectedCrc32?: number;
}

// The WASM builds are asked for by name: the packages' default exports are asm.js and ten times slower.
const openJpeg: WasmCodec = {
  className: 'J2KDecoder',
  load: () => import('@cornerstonejs/codec-openjpeg/decodewasmjs'),
};
const charLs: WasmCodec = {
  className: 'JpegLSDecoder',
  load: () => import('@cornerstonejs/codec-charls/decodewasmjs'),
};
const libJpegTurbo: WasmCodec = {
  className: 'JPEGDecoder',
  load: () => import('@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs'),
};

type Decode = (input: FrameDecodeInput) => Uint8Array | Promise<Uint8Array>;

/** Refuses a codestream whose own size differs from the image's, before a byte of it is decoded. */
function checked(header: CodestreamHeader | undefined, input: FrameDecodeInput, markers?: number[]): CodestreamHeader {
  if (!header) throw unprocessable('The frame holds no codestream of its transfer syntax.');
  if (markers && !markers.includes(header.frameMarker ?? -1)) {
    throw unprocessable(`The codestream of the frame is of another process than ${input.transferSyntaxUid}.`);
  }
  const { rows, columns, samplesPerPixel, bitsAllocated } = input;
  const sameSize = header.width === columns && header.height === rows && header.components === samplesPerPixel;
  if (!sameSize || header.bitsPerSample > bitsAllocated) {
    throw unprocessable(
      `The codestream of the frame declares ${header.width}×${header.height}×${header.components} of ` +
        `${header.bitsPerSample} bits, the image ${columns}×${rows}×${samplesPerPixel} of ${bitsAllocated}.`,
    );
  }
  return header;
}

const cut = () => unprocessable('The codestream of the frame is cut short.');

function decodeNative(input: FrameDecodeInput): Uint8Array {
  const { bytes, samplesPerPixel, planarConfiguration, bitsAllocated, photometricInterpretation } = input;
  if (photometricInterpretation.endsWith('_422')) {
    throw unprocessable('Uncompressed pixels with subsampled colour (4:2:2) are not supported.');
  }
  if (samplesPerPixel > 1 && planarConfiguration === 1 && bytes.length === frameBytes(input)) {
    return interleavePlanes(bytes, samplesPerPixel, bitsAllocated / 8);
  }
  return bytes;
}

async function decodeJpeg2000(input: FrameDecodeInput): Promise<Uint8Array> {
  const codestream = unwrapJp2(input.bytes);
  const header = checked(jpeg2000Header(codestream), input);
  if (!isWholeJpeg2000(codestream)) throw cut();
  if (header.bitsPerSample > 16) throw unprocessable('JPEG 2000 frames of more than 16 bits are not supported.');
  const signedBytes = header.signed === true && header.bitsPerSample <= 8;
  const decoded = signedBytes
    ? await decodeSignedBytes(codestream, header)
    : await decodeWithWasm(openJpeg, codestream);
  return fitSamples(decoded, header.bitsPerSample, header.signed, input);
}

/**
 * The codec clips signed bytes at 0. Declared unsigned, the same codestream decodes to its values and half their range
 * (ISO 15444-1 annex G.1), which is taken off again.
 */
async function decodeSignedBytes(codestream: Uint8Array, header: CodestreamHeader): Promise<Uint8Array> {
  const unsigned = Uint8Array.from(codestream);
  for (let component = 0; component < header.components; component++)
    unsigned[42 + component * 3] = header.bitsPerSample - 1;
  const half = 2 ** (header.bitsPerSample - 1);
  return Uint8Array.from(await decodeWithWasm(openJpeg, unsigned), (value) => value - half);
}

function useHtj2kFrame<T>(
  input: FrameDecodeInput,
  resolutionLevel: number,
  use: (pixels: Uint8Array, width: number, height: number) => T,
): Promise<T> {
  checked(jpeg2000Header(input.bytes), input);
  if (!isWholeJpeg2000(input.bytes)) throw cut();
  const { columns, rows, samplesPerPixel, bitsAllocated } = input;
  const expected = { width: columns, height: rows, samplesPerPixel, bitsAllocated };
  return useDecodedHtj2k(input.bytes, resolutionLevel, expected, ({ pixels, width, height, bitsPerSample, signed }) =>
    use(fitSamples(pixels, bitsPerSample, signed, input), width, height),
  );
}

async function decodeJpegLs(input: FrameDecodeInput): Promise<Uint8Array> {
  const header = checked(jpegHeader(input.bytes), input, [0xf7]);
  if (!isWholeJpeg(input.bytes)) throw cut();
  const decoded = await decodeWithWasm(charLs, input.bytes);
  return fitSamples(decoded, header.bitsPerSample, undefined, input);
}

/** An Adobe segment that says "no colour transform", put behind SOI. */
const untransformed = Uint8Array.from([
  0xff, 0xd8, 0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0,
]);

async function decodeJpegBaseline(input: FrameDecodeInput): Promise<Uint8Array> {
  checked(jpegHeader(input.bytes), input, [0xc0, 0xc1]);
  if (!isWholeJpeg(input.bytes)) throw cut();
  // Without the segment the codec takes three components for YCbCr, also where the image says RGB.
  const isBareRgb = input.photometricInterpretation === 'RGB' && !hasAdobeSegment(input.bytes);
  const bytes = isBareRgb ? Buffer.concat([untransformed, input.bytes.subarray(2)]) : input.bytes;
  const decoded = await decodeWithWasm(libJpegTurbo, bytes);
  return fitSamples(decoded, 8, undefined, input);
}

async function decodeJpegLossless(input: FrameDecodeInput): Promise<Uint8Array> {
  const header = checked(jpegHeader(input.bytes), input, [0xc3]);
  if (!isWholeJpeg(input.bytes)) throw cut();
  const { Decoder } = await import('jpeg-lossless-decoder-js');
  const { buffer, byteOffset, byteLength } = input.bytes;
  let decoded: Uint8Array | Uint16Array;
  try {
    decoded = new Decoder().decode(buffer, byteOffset, byteLength);
  } catch (cause) {
    throw unprocessable('The JPEG lossless codestream of the frame is damaged and cannot be decoded.', cause);
  }
  const pixels = new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.byteLength);
  return fitSamples(pixels, header.bitsPerSample, undefined, input);
}

const decoders: Readonly<Record<string, Decode>> = {
  [transferSyntax.rle]: (input) => decodeRle(input.bytes, input),
  [transferSyntax.jpegBaseline]: decodeJpegBaseline,
  [transferSyntax.jpegLossless]: decodeJpegLossless,
  [transferSyntax.jpegLosslessFirstOrder]: decodeJpegLossless,
  [transferSyntax.jpegLsLossless]: decodeJpegLs,
  [transferSyntax.jpegLsNearLossless]: decodeJpegLs,
  [transferSyntax.jpeg2000Lossless]: decodeJpeg2000,
  [transferSyntax.jpeg2000]: decodeJpeg2000,
};

const htj2kSyntaxes: ReadonlySet<string> = new Set([
  transferSyntax.htj2kLossless,
  transferSyntax.htj2kLosslessRpcl,
  transferSyntax.htj2k,
]);

/**
 * Decodes one frame to little-endian pixels, interleaved, of exactly `rows × columns × samples × bitsAllocated / 8`
 * bytes. Colour comes as RGB from JPEG and JPEG 2000; native and RLE colour stays as PhotometricInterpretation says.
 * Codecs are loaded on first use, once per thread.
 *
 * @throws EndpointError `unprocessable_image`: unknown syntax (named), damaged or contradicting codestream, wrong
 *   length or CRC-32
 */
export const decodeFrame = (input: FrameDecodeInput): Promise<Uint8Array> =>
  useDecodedFrame(input, (pixels) => (htj2kSyntaxes.has(input.transferSyntaxUid) ? pixels.slice() : pixels));

/**
 * {@link decodeFrame} without a copy of the pixels: they may lie in the codec's own memory and are `use`'s only until it
 * returns.
 */
export async function useDecodedFrame<T>(input: FrameDecodeInput, use: (pixels: Uint8Array) => T): Promise<T> {
  const { transferSyntaxUid } = input;
  const useVerified = (pixels: Uint8Array): T => {
    verify(pixels, input);
    return use(pixels);
  };
  if (htj2kSyntaxes.has(transferSyntaxUid)) return useHtj2kFrame(input, 0, useVerified);
  const decode = isNativeSyntax(transferSyntaxUid) ? decodeNative : decoders[transferSyntaxUid];
  if (!decode) throw unprocessable(`Pixel data of transfer syntax ${transferSyntaxUid} are not supported.`);
  return useVerified(await decode(input));
}

/** A frame at a lower resolution. */
export interface FrameAtLevel {
  readonly pixels: Uint8Array;
  readonly rows: number;
  readonly columns: number;
}

export interface FrameLevelInput {
  readonly frame: FrameDecodeInput;
  /** 0 is full size; each level above halves both sides (rounded up). */
  readonly resolutionLevel: number;
  /** CRC-32 of each lower resolution that the source tells, by its size. */
  readonly levels?: readonly { readonly width: number; readonly height: number; readonly crc32: number }[];
}

/** Whether frames of a transfer syntax hold lower resolutions that can be decoded by themselves. */
export const hasResolutionLevels = (transferSyntaxUid: string): boolean => htj2kSyntaxes.has(transferSyntaxUid);

/**
 * Decodes a frame at one of the lower resolutions that its codestream holds, for pictures: at level 2 in an eighth of
 * the time. A level whose checksum the source tells is held against it.
 *
 * @throws EndpointError `unprocessable_image`: a syntax without levels (named), a level that the codestream has not,
 *   damaged or contradicting codestream, wrong CRC-32
 */
export async function decodeFrameAtLevel({ frame, resolutionLevel, levels }: FrameLevelInput): Promise<FrameAtLevel> {
  if (!hasResolutionLevels(frame.transferSyntaxUid)) {
    throw unprocessable(`Pixel data of transfer syntax ${frame.transferSyntaxUid} have no resolution levels.`);
  }
  return useHtj2kFrame(frame, resolutionLevel, (pixels, columns, rows) => {
    const level = levels?.find(({ width, height }) => width === columns && height === rows);
    const expectedCrc32 = resolutionLevel === 0 ? (frame.expectedCrc32 ?? level?.crc32) : level?.crc32;
    verify(pixels, { ...frame, rows, columns, ...(expectedCrc32 === undefined ? {} : { expectedCrc32 }) });
    return { pixels: pixels.slice(), rows, columns };
  });
}

function verify(pixels: Uint8Array, input: FrameDecodeInput): void {
  const { expectedCrc32 } = input;
  const expected = frameBytes(input);
  if (pixels.length !== expected) {
    throw unprocessable(`A frame has ${pixels.length} decoded bytes, the image declares ${expected}.`);
  }
  if (expectedCrc32 !== undefined && crc32(pixels) !== expectedCrc32) {
    throw unprocessable(
      'The CRC-32 of a decoded frame differs from the one that the store tells: the frame is damaged.',
    );
  }
}
