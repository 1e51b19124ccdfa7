/** Text files that the user names: questions, passages, prompts, templates. UTF-8, or UTF-16 as Windows PowerShell writes it. */
import { messageOf, UserError } from '../protocol/errors.ts';
import { readSmallBytes } from './files.ts';

/** Three hundred thousand questions with their passages. */
const maximumTextBytes = 384 * 1024 * 1024;

export interface TextFile {
  /** Without a byte order mark. */
  text: string;
  bytes: Uint8Array;
}

/**
 * Reads a whole text file. Nothing is guessed: what is neither UTF-8 nor UTF-16 would be read with wrong letters.
 *
 * @throws UserError if it is missing, too large, or not text in one of these encodings
 */
export async function readTextFile(path: string): Promise<TextFile> {
  const bytes = await readSmallBytes(path, maximumTextBytes);
  return { text: decodeUnicode(bytes, path), bytes };
}

/** The value of a JSON file. @throws UserError */
export async function readJsonText(path: string): Promise<unknown> {
  const { text } = await readTextFile(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is not valid JSON: ${messageOf(error)}`);
  }
}

function decodeUnicode(bytes: Uint8Array, path: string): string {
  const encoding = encodingOf(bytes);
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(
      encoding === 'utf-8'
        ? `${path} is not UTF-8 text (nor UTF-16): save it as UTF-8.`
        : `${path} looks like UTF-16 text, but is damaged or something else: save it as UTF-8.`,
    );
  }
}

/** By the byte order mark; without one, text in UTF-16 has a zero in nearly every second byte. */
function encodingOf(bytes: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' {
  const isUtf32 = bytes[0] === 0xff && bytes[1] === 0xfe && bytes[2] === 0 && bytes[3] === 0;
  if (bytes[0] === 0xff && bytes[1] === 0xfe && !isUtf32) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  const sample = bytes.subarray(0, 4096);
  let even = 0;
  let odd = 0;
  for (const [index, byte] of sample.entries()) {
    if (byte !== 0) continue;
    if (index % 2 === 0) even++;
    else odd++;
  }
  if (even === 0 && odd > sample.length / 4) return 'utf-16le';
  if (odd === 0 && even > sample.length / 4) return 'utf-16be';
  return 'utf-8';
}
