/**
 * Token ids to text as they arrive: only whole characters are given out, and text that may be the beginning of a stop
 * string is held back.
 */

/** What a tokenizer does here: ids to text, special tokens left out. */
export type DecodeText = (tokenIds: readonly number[]) => string;

export class TextStream {
  private readonly decode: DecodeText;
  private readonly stops: readonly string[];
  private readonly tokenIds: number[] = [];
  /** Where the ids start that are decoded again (a token's text can depend on the one before), and what is done. */
  private contextStart = 0;
  private decodedEnd = 0;
  private pending = '';
  /** All text given out so far. */
  text = '';
  /** Whether a stop string was met. */
  stopped = false;

  constructor(decode: DecodeText, stops: readonly string[] = []) {
    this.decode = decode;
    this.stops = stops.filter((stop) => stop !== '');
  }

  /** Adds a token and returns the text that has become final, often the text of the token itself. */
  push(tokenId: number): string {
    this.tokenIds.push(tokenId);
    const before = this.decode(this.tokenIds.slice(this.contextStart, this.decodedEnd));
    const now = this.decode(this.tokenIds.slice(this.contextStart));
    // U+FFFD at the end: the bytes of a character that is not complete yet
    if (now.length <= before.length || now.endsWith('\uFFFD')) return '';
    this.contextStart = this.decodedEnd;
    this.decodedEnd = this.tokenIds.length;
    return this.release(now.slice(before.length), false);
  }

  /** Ends the stream and returns what was held back. */
  finish(): string {
    if (this.stopped) return '';
    const before = this.decode(this.tokenIds.slice(this.contextStart, this.decodedEnd));
    const now = this.decode(this.tokenIds.slice(this.contextStart));
    return this.release(now.slice(before.length), true);
  }

  private release(text: string, atEnd: boolean): string {
    this.pending += text;
    const found = this.stops.map((stop) => this.pending.indexOf(stop)).filter((index) => index >= 0);
    let end = this.pending.length;
    if (found.length > 0) {
      this.stopped = true;
      end = Math.min(...found);
    } else if (!atEnd) {
      end -= Math.max(0, ...this.stops.map((stop) => overlap(this.pending, stop)));
    }
    const released = this.pending.slice(0, end);
    this.pending = this.stopped ? '' : this.pending.slice(end);
    this.text += released;
    return released;
  }
}

/** Length of the longest end of `text` with which `stop` begins. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
