/** From bytes to text, whatever the encoding. */
import { detect } from 'chardet';
import iconv from 'iconv-lite';

/** How many bytes are looked at to tell text from binary and to guess an encoding. */
const sampleBytes = 64 * 1024;

/** So many sequences of several bytes are no chance: the bytes are UTF-8, whatever they declare. */
const surelyUtf8 = 16;

/**
 * The text of a file's bytes with '\n' line ends and without a byte order mark, or undefined if the bytes are not
 * text. UTF-8, UTF-16 and UTF-32 are recognised by mark or by validity, then comes what the text declares; anything
 * else is guessed from letter statistics.
 * @param declared the encoding that the file itself names, if it does (declaredEncoding)
 */
export function decodeText(bytes: Uint8Array, declared?: string): string | undefined {
  const text = decodeBytes(bytes, declared);
  return text?.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
}

/** The encoding that a page or a source file names in its first lines, in the ways of HTML, XML, CSS and editors. */
export function declaredEncoding(bytes: Uint8Array, isHtml: boolean): string | undefined {
  const head = Buffer.from(bytes.subarray(0, isHtml ? 8192 : 1024)).toString('latin1');
  if (isHtml) {
    const xml = /^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([\w.:-]+)["']/i.exec(head);
    const meta = /<meta\s[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)/i.exec(head.replace(/<!--[^]*?-->/g, ''));
    return (xml ?? meta)?.[1];
  }
  const firstLines = head
    .split(/\r?\n|\r/)
    .slice(0, 5)
    .join('\n');
  return /(?:^|[\s*;"])(?:(?:file)?(?:en)?coding[:=]|:encoding:|@charset)[ \t]*"?([\w.:-]+)/im.exec(
    firstLines,
  )?.[1];
}

function decodeBytes(bytes: Uint8Array, declared: string | undefined): string | undefined {
  const marked = encodingByMark(bytes);
  if (marked) return decodeAs(bytes, marked);
  const head = bytes.subarray(0, sampleBytes);
  const wide = wideEncoding(head);
  if (wide) return decodeAs(bytes, wide);
  if (head.includes(0)) return undefined;
  const sequences = countSequences(bytes);
  const isUtf8 = sequences.invalid === 0;
  if (isUtf8 && sequences.valid >= surelyUtf8) return decodeAs(bytes, 'utf-8');
  const isEscaped = includesPair(head, 0x1b, 0x24); // ESC $: Japanese in seven bits
  const named = declared?.toLowerCase();
  const isPlain = sequences.valid + sequences.invalid === 0 && !isEscaped;
  // A page that says it is UTF-16 in readable letters is not.
  if (!isPlain && named !== undefined && !/^utf-?(?:8|16|32)/.test(named)) {
    const text = decodeAs(bytes, named);
    if (text !== undefined) return text;
  }
  if (isUtf8 && !isEscaped) return decodeAs(bytes, 'utf-8');
  if (controlShare(head) > 0.02) return undefined;
  // A file that is UTF-8 but for a few bytes stays UTF-8: a wrong guess would spoil every other letter.
  if (sequences.valid > 0 && sequences.valid >= sequences.invalid) return decodeAs(bytes, 'utf-8');
  const guess = detect(tellingBytes(bytes));
  return (guess ? decodeAs(bytes, guess.toLowerCase()) : undefined) ?? decodeAs(bytes, 'utf-8');
}

/** The text in an encoding; undefined if it is not known. */
function decodeAs(bytes: Uint8Array, encoding: string): string | undefined {
  // Windows' set stands for the standard's, as in browsers: its quotation marks are control characters there.
  const windows: Record<string, string> = {
    'iso-8859-1': 'windows-1252',
    latin1: 'windows-1252',
    'us-ascii': 'windows-1252',
    ascii: 'windows-1252',
    'iso-8859-9': 'windows-1254',
  };
  const name = Object.hasOwn(windows, encoding) ? windows[encoding]! : encoding;
  if (name !== 'utf-8' && iconv.encodingExists(name)) return iconv.decode(Buffer.from(bytes), name);
  try {
    return new TextDecoder(name).decode(bytes);
  } catch {
    return undefined;
  }
}

function encodingByMark(bytes: Uint8Array): string | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 && bytes.length % 4 === 0 ? 'utf-32le' : 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0 && b === 0 && c === 0xfe && d === 0xff) return 'utf-32be';
  return a === 0xef && b === 0xbb && c === 0xbf ? 'utf-8' : undefined;
}

/** UTF-16 and UTF-32 without a mark show by the places of their zeros. */
function wideEncoding(sample: Uint8Array): string | undefined {
  if (sample.length < 4 || sample.length % 2 !== 0) return undefined;
  const zeros = [0, 0, 0, 0];
  sample.forEach((byte, index) => {
    if (byte === 0) zeros[index % 4]!++;
  });
  const [a, b, c, d] = zeros.map((count) => count / (sample.length / 4)) as [number, number, number, number];
  if (sample.length % 4 === 0 && c > 0.9 && d > 0.9 && a < 0.1) return 'utf-32le';
  if (sample.length % 4 === 0 && a > 0.9 && b > 0.9 && d < 0.1) return 'utf-32be';
  const [even, odd] = [(a + c) / 2, (b + d) / 2];
  if (odd > 0.7 && even < 0.01) return 'utf-16le';
  if (even > 0.7 && odd < 0.01) return 'utf-16be';
  // Text in other scripts: zeros stand with its spaces, line ends and digits alone, all on one side.
  if (odd > 0.02 && even === 0 && readsAs(sample, 'utf-16le')) return 'utf-16le';
  if (even > 0.02 && odd === 0 && readsAs(sample, 'utf-16be')) return 'utf-16be';
  return undefined;
}

/** Whether nearly all characters are letters, digits, punctuation and space. */
function readsAs(sample: Uint8Array, encoding: string): boolean {
  const text = decodeAs(sample, encoding) ?? '';
  return (text.match(/[\p{L}\p{M}\p{N}\p{P}\s]/gu)?.length ?? 0) > text.length * 0.95;
}

/** Sequences of several bytes that are UTF-8, and bytes that are not. */
function countSequences(bytes: Uint8Array): { valid: number; invalid: number } {
  let valid = 0;
  let invalid = 0;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]!;
    if (byte < 0x80) continue;
    const length =
      byte >= 0xc2 && byte < 0xe0 ? 2 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xf0 && byte < 0xf5 ? 4 : 1;
    let seen = 1;
    while (seen < length && ((bytes[index + seen] ?? 0) & 0xc0) === 0x80) seen++;
    const second = bytes[index + 1] ?? 0;
    const isOverlong = (byte === 0xe0 && second < 0xa0) || (byte === 0xf0 && second < 0x90);
    const isOutside = (byte === 0xed && second > 0x9f) || (byte === 0xf4 && second > 0x8f);
    if (length > 1 && seen === length && !isOverlong && !isOutside) {
      valid++;
      index += length - 1;
    } else {
      invalid++;
    }
  }
  return { valid, invalid };
}

/** What tells encodings apart: the bytes that are not ASCII, wherever in the file, with a few around them. */
function tellingBytes(bytes: Uint8Array): Uint8Array {
  const around = 32;
  const parts: Uint8Array[] = [];
  let size = 0;
  let end = 0; // of what is taken
  for (let index = 0; index < bytes.length && size < sampleBytes; index++) {
    if (bytes[index]! < 0x80 && bytes[index] !== 0x1b) continue;
    const part = bytes.subarray(Math.max(end, index - around), index + around);
    parts.push(part);
    size += part.length;
    end = index + around;
    index = end - 1;
  }
  return size === 0 ? bytes.subarray(0, sampleBytes) : Buffer.concat(parts);
}

function includesPair(bytes: Uint8Array, first: number, second: number): boolean {
  for (let at = bytes.indexOf(first); at !== -1; at = bytes.indexOf(first, at + 1)) {
    if (bytes[at + 1] === second) return true;
  }
  return false;
}

function controlShare(sample: Uint8Array): number {
  let controls = 0;
  for (const byte of sample) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) controls++;
  return sample.length === 0 ? 0 : controls / sample.length;
}
