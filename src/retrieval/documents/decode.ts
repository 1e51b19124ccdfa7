import { detect } from 'chardet';
import iconv from 'iconv-lite';

/** How many bytes are looked at to tell text from binary and to guess an encoding. */
const sampleBytes = 64 * 1024;

/**
 * The text of a file's bytes with '\n' line ends and without a byte order mark, or undefined if the bytes are not
 * text. UTF-8 and UTF-16 are recognised by mark or by validity; anything else is guessed from letter statistics.
 */
export function decodeText(bytes: Uint8Array): string | undefined {
  const text = decodeBytes(bytes);
  return text?.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
}

function decodeBytes(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return iconv.decode(Buffer.from(bytes), 'utf-16be');
  const sample = bytes.subarray(0, sampleBytes);
  const wide = wideEncoding(sample);
  if (wide) return iconv.decode(Buffer.from(bytes), wide);
  if (sample.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    if (controlShare(sample) > 0.02) return undefined;
    const guess = detect(sample);
    // A file that is UTF-8 but for a few bytes stays UTF-8: a wrong guess would spoil every other letter.
    return guess && guess !== 'UTF-8' && iconv.encodingExists(guess)
      ? iconv.decode(Buffer.from(bytes), guess)
      : new TextDecoder('utf-8').decode(bytes);
  }
}

/** UTF-16 without a mark shows as mostly-Latin text with a zero in every second byte. */
function wideEncoding(sample: Uint8Array): 'utf-16le' | 'utf-16be' | undefined {
  if (sample.length < 4 || sample.length % 2 !== 0) return undefined;
  let even = 0;
  let odd = 0;
  for (let index = 0; index < sample.length; index += 2) {
    if (sample[index] === 0) even++;
    if (sample[index + 1] === 0) odd++;
  }
  const pairs = sample.length / 2;
  if (odd > pairs * 0.7 && even < pairs * 0.01) return 'utf-16le';
  if (even > pairs * 0.7 && odd < pairs * 0.01) return 'utf-16be';
  return undefined;
}

function controlShare(sample: Uint8Array): number {
  let controls = 0;
  for (const byte of sample) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) controls++;
  return sample.length === 0 ? 0 : controls / sample.length;
}
