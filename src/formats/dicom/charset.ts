/**
 * Text of a data set by its SpecificCharacterSet (PS3.3 C.12.1.1.2, PS3.5 §6.1): single- and multi-byte sets, and code
 * extension by ISO 2022 escapes. Single sets go to the platform's `TextDecoder`; switching between sets is done here.
 */

/** Turns the bytes of one text value into Unicode. `isName`: PN, whose `^` and `=` also end an escape's reach. */
export type TextDecoding = (bytes: Uint8Array, isName: boolean) => string;

type ByteDecoder = (bytes: Uint8Array) => string;

const labelDecoder = (label: string): ByteDecoder => {
  const decoder = new TextDecoder(label);
  return (bytes) => decoder.decode(bytes);
};

const latin1: ByteDecoder = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

/** Sets the high bit of both bytes of each pair, which turns a 7-bit double-byte set into its EUC form. */
const asEuc = (decode: ByteDecoder, prefix: readonly number[] = []): ByteDecoder => {
  return (bytes) => {
    const pairs: number[] = [];
    for (let at = 0; at + 1 < bytes.length; at += 2) {
      pairs.push(...prefix, (bytes[at] as number) | 0x80, (bytes[at + 1] as number) | 0x80);
    }
    return decode(Uint8Array.from(pairs));
  };
};

interface CodeSet {
  /** Bytes of one character. */
  readonly width: 1 | 2;
  readonly decode: ByteDecoder;
}

const ascii: CodeSet = { width: 1, decode: latin1 };

const lazySet = (width: 1 | 2, make: () => ByteDecoder): CodeSet => {
  let decode: ByteDecoder | undefined;
  return {
    width,
    decode: (bytes) => {
      decode ??= make();
      return decode(bytes);
    },
  };
};

/** Number of the ISO registration in the defined term → the set that bytes from 0x80 belong to. */
const upperSets: Readonly<Record<string, CodeSet>> = {
  '100': ascii,
  '101': lazySet(1, () => labelDecoder('iso-8859-2')),
  '109': lazySet(1, () => labelDecoder('iso-8859-3')),
  '110': lazySet(1, () => labelDecoder('iso-8859-4')),
  '144': lazySet(1, () => labelDecoder('iso-8859-5')),
  '127': lazySet(1, () => labelDecoder('iso-8859-6')),
  '126': lazySet(1, () => labelDecoder('iso-8859-7')),
  '138': lazySet(1, () => labelDecoder('iso-8859-8')),
  '148': lazySet(1, () => labelDecoder('iso-8859-9')),
  '203': lazySet(1, () => labelDecoder('iso-8859-15')),
  '166': lazySet(1, () => labelDecoder('windows-874')),
  '13': lazySet(1, () => labelDecoder('shift_jis')),
  '149': lazySet(2, () => labelDecoder('euc-kr')),
  '58': lazySet(2, () => labelDecoder('gb18030')),
};
const jisX0208 = lazySet(2, () => asEuc(labelDecoder('euc-jp')));
const jisX0212 = lazySet(2, () => asEuc(labelDecoder('euc-jp'), [0x8f]));

/** Escape sequences without their ESC (PS3.3 table C.12-3, C.12-4) and the half they set: G0 below 0x80, G1 above. */
const escapes: readonly (readonly [string, 'g0' | 'g1', CodeSet])[] = [
  ['$(D', 'g0', jisX0212],
  ['$)C', 'g1', upperSets['149'] as CodeSet],
  ['$)A', 'g1', upperSets['58'] as CodeSet],
  ['$B', 'g0', jisX0208],
  ['(B', 'g0', ascii],
  ['(J', 'g0', ascii],
  [')I', 'g1', upperSets['13'] as CodeSet],
  ['-A', 'g1', ascii],
  ['-B', 'g1', upperSets['101'] as CodeSet],
  ['-C', 'g1', upperSets['109'] as CodeSet],
  ['-D', 'g1', upperSets['110'] as CodeSet],
  ['-L', 'g1', upperSets['144'] as CodeSet],
  ['-G', 'g1', upperSets['127'] as CodeSet],
  ['-F', 'g1', upperSets['126'] as CodeSet],
  ['-H', 'g1', upperSets['138'] as CodeSet],
  ['-M', 'g1', upperSets['148'] as CodeSet],
  ['-b', 'g1', upperSets['203'] as CodeSet],
  ['-T', 'g1', upperSets['166'] as CodeSet],
];

const ESC = 0x1b;
/** TAB, LF, FF, CR and the backslash between values end the reach of an escape; in names `^` and `=` too. */
const endsReach = (byte: number, isName: boolean): boolean =>
  byte === 0x5c ||
  byte === 0x09 ||
  byte === 0x0a ||
  byte === 0x0c ||
  byte === 0x0d ||
  (isName && (byte === 0x5e || byte === 0x3d));

function escapeAt(bytes: Uint8Array, at: number): (typeof escapes)[number] | undefined {
  return escapes.find(([sequence]) =>
    [...sequence].every((char, index) => bytes[at + 1 + index] === char.charCodeAt(0)),
  );
}

/** Decodes text that switches sets by escapes. `first` is the set of bytes from 0x80 before any escape. */
function decodeIso2022(bytes: Uint8Array, first: CodeSet, isName: boolean): string {
  let g0 = ascii;
  let g1 = first;
  let text = '';
  let runStart = 0;
  let runSet: CodeSet = ascii;
  const flush = (end: number) => {
    if (end > runStart) text += runSet.decode(bytes.subarray(runStart, end));
    runStart = end;
  };
  let at = 0;
  while (at < bytes.length) {
    const byte = bytes[at] as number;
    if (byte === ESC) {
      const switched = escapeAt(bytes, at);
      if (switched) {
        flush(at);
        const [sequence, half, set] = switched;
        if (half === 'g0') g0 = set;
        else g1 = set;
        at += 1 + sequence.length;
        runStart = at;
        continue;
      }
    }
    const isPair = byte >= 0x21 && byte < 0x7f && g0.width === 2;
    const delimits = !isPair && endsReach(byte, isName);
    if (delimits) {
      g0 = ascii;
      g1 = first;
    }
    const set = byte >= 0x80 ? g1 : byte < 0x21 ? ascii : g0;
    if (set !== runSet) flush(at);
    runSet = set;
    at += set.width;
  }
  flush(bytes.length);
  return text;
}

const utf8 = new TextDecoder('utf-8');
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** For a term that no standard knows: UTF-8 where the bytes are that, else Latin 1. */
function decodeUnknown(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

const isAscii = (bytes: Uint8Array): boolean => {
  for (const byte of bytes) if (byte >= 0x80 || byte === ESC) return false;
  return true;
};

function decodingOf(terms: readonly string[]): TextDecoding {
  const term = (terms[0] ?? '')
    .toUpperCase()
    .replace(/[\s_-]+/g, ' ')
    .trim();
  if (term === 'ISO IR 192') return (bytes) => utf8.decode(bytes);
  if (term === 'GB18030' || term === 'GBK') {
    const decoder = new TextDecoder(term.toLowerCase());
    return (bytes) => decoder.decode(bytes);
  }
  const registration = /^ISO (?:2022 )?IR (\d+)$/.exec(term)?.[1];
  const extended = terms.length > 1 || term.startsWith('ISO 2022');
  // IR 6 and the 7-bit double-byte sets name no upper half: Latin 1 shows what is there all the same.
  const upper =
    term === '' || registration === '6' || registration === '87' || registration === '159'
      ? ascii
      : upperSets[registration ?? ''];
  if (!upper) return extended ? (bytes, isName) => decodeIso2022(bytes, ascii, isName) : decodeUnknown;
  // Upper halves of two bytes (IR 149, IR 58) must be designated by an escape before use; some writers don't.
  return extended || upper.width === 2
    ? (bytes, isName) => decodeIso2022(bytes, upper, isName)
    : (bytes) => upper.decode(bytes);
}

const cache = new Map<string, TextDecoding>();

/** The decoding for the values of SpecificCharacterSet (none: the default repertoire). */
export function textDecoding(terms: readonly string[]): TextDecoding {
  const key = terms.join('\\');
  let decoding = cache.get(key);
  if (!decoding) {
    const slow = decodingOf(terms);
    decoding = (bytes, isName) => (isAscii(bytes) ? latin1(bytes) : slow(bytes, isName));
    if (cache.size < 64) cache.set(key, decoding);
  }
  return decoding;
}
