/**
 * Codecs fill up what a cut codestream lacks and report nothing (or loop for seconds), and DICOM files carry no
 * checksum: so the end of each stream is looked for before it is decoded.
 */

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** True when the stream ends with FFD9 (EOI, EOC), padding after it aside. */
function endsWithMarker(bytes: Uint8Array): boolean {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  if (end >= 2 && bytes[end - 2] === 0xff && bytes[end - 1] === 0xd9) return true;
  // Odd padding may also be one other byte (a blank, FF).
  return end >= 3 && bytes[end - 3] === 0xff && bytes[end - 2] === 0xd9;
}

/** True when a JPEG or JPEG-LS stream goes on to its end of image. */
export const isWholeJpeg = (bytes: Uint8Array): boolean => endsWithMarker(bytes);

/**
 * True when a JPEG 2000 or HTJ2K stream has all bytes of its tile parts (ISO 15444-1 A.4.2). A missing EOC alone is
 * forgiven: some encoders leave it out.
 */
export function isWholeJpeg2000(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  let at = 2;
  while (at + 4 <= bytes.length && view.getUint16(at) !== 0xff90) {
    if (bytes[at] !== 0xff) return false;
    at += 2 + view.getUint16(at + 2);
  }
  let tileParts = 0;
  while (at + 12 <= bytes.length && view.getUint16(at) === 0xff90) {
    const length = view.getUint32(at + 6);
    tileParts++;
    // Length 0: the last tile part, up to EOC.
    if (length === 0) return endsWithMarker(bytes);
    if (length < 14 || at + length > bytes.length) return false;
    at += length;
  }
  // Behind the last tile part: EOC, padding or nothing; a cut SOT is neither.
  return tileParts > 0 && (at + 2 > bytes.length || view.getUint16(at) === 0xffd9 || view.getUint16(at) === 0);
}
