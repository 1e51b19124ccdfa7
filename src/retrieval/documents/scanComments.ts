/** Finds the comments of a source file in one pass: in strings and regular expressions nothing is a comment. */
import type { CommentStyle, StringStyle } from './commentStyles.ts';

export interface Comment {
  first: number;
  last: number;
  isDocstring: boolean;
  /** Ends with its line and has the line for itself: neighbours of this kind are one text. */
  isWholeLine: boolean;
}

/** Words after which a slash begins a regular expression; after other words it divides. */
const valueFollows =
  /^(?:return|typeof|case|in|of|do|else|delete|void|throw|new|instanceof|yield|await|default|export)$/;

/** Nobody nests templates deeper; a file that does is not read deeper. */
const deepestTemplate = 100;

export function scanComments(text: string, style: CommentStyle): Comment[] {
  return new Scanner(text, style).scan();
}

class Scanner {
  readonly #text: string;
  readonly #style: CommentStyle;
  readonly #comments: Comment[] = [];
  #line = 1;
  /** Whether only white space stands before this place in its line. */
  #isAlone = true;
  /** The last character of code that is no white space, and the word that it ends. */
  #before = '';
  #word = '';
  /** In this line a search for the end of a regular expression was in vain. */
  #noExpressionBefore = 0;
  /** Open templates: how many braces are open in the code inside each. */
  readonly #templates: { style: StringStyle; braces: number }[] = [];

  constructor(text: string, style: CommentStyle) {
    this.#text = text;
    this.#style = style;
  }

  scan(): Comment[] {
    for (let at = 0; at < this.#text.length;) at = this.#step(at);
    return this.#comments;
  }

  /** Takes what begins at `at`. @returns where it ends */
  #step(at: number): number {
    const { block, line, lineAfterSpace, strings, regularExpressions } = this.#style;
    const first = this.#line;
    const isAlone = this.#isAlone;
    const open = block.find(([start]) => this.#text.startsWith(start, at));
    if (open) {
      const end = this.#text.indexOf(open[1], at + open[0].length);
      const after = this.#advance(at, end === -1 ? this.#text.length : end + open[1].length);
      this.#comments.push({ first, last: this.#line, isDocstring: false, isWholeLine: false });
      return after;
    }
    const mayBeLine = !lineAfterSpace || at === 0 || /\s/.test(this.#text[at - 1]!);
    if (mayBeLine && line.some((start) => this.#text.startsWith(start, at))) {
      const end = this.#text.indexOf('\n', at);
      this.#comments.push({ first, last: first, isDocstring: false, isWholeLine: isAlone });
      return end === -1 ? this.#text.length : end;
    }
    const string = strings.find((each) => this.#text.startsWith(each.open, at));
    if (string && !this.#isDigitSeparator(at)) {
      const after = this.#skipString(string, at + string.open.length, at);
      if (isAlone && string.isDocstring) {
        this.#comments.push({ first, last: this.#line, isDocstring: true, isWholeLine: false });
      }
      return after;
    }
    if (regularExpressions && this.#text[at] === '/' && this.#mayBeValue()) {
      const end = this.#endOfRegularExpression(at);
      if (end !== undefined) return this.#take(at, end);
    }
    return this.#skipCharacter(at);
  }

  #skipCharacter(at: number): number {
    const character = this.#text[at]!;
    const template = this.#templates.at(-1);
    if (template && character === '{') template.braces++;
    if (template && character === '}' && template.braces-- === 0) {
      this.#templates.pop();
      return this.#skipString(template.style, at + 1, at);
    }
    if (character === '\n' || character === ' ' || character === '\t') return this.#advance(at, at + 1);
    const isLetter = /[\w$]/.test(character);
    const goesOn = isLetter && at > 0 && /[\w$]/.test(this.#text[at - 1]!);
    // A word as long as a keyword; of longer ones the beginning is enough to know that they are none.
    this.#word = isLetter ? `${goesOn ? this.#word.slice(0, 20) : ''}${character}` : '';
    this.#before = character;
    this.#isAlone = false;
    return at + 1;
  }

  /** In C++, 1'000'000 is a number. */
  #isDigitSeparator(at: number): boolean {
    return (
      this.#text[at] === "'" &&
      /[\da-fA-F]/.test(this.#text[at - 1] ?? '') &&
      /^\w*\d[\da-fA-FxX']*$/.test(this.#word)
    );
  }

  /** The place after a string whose content begins at `start`, or after the `${` of code in it. */
  #skipString(style: StringStyle, start: number, from: number): number {
    const { close, spansLines, isRaw, hasCode } = style;
    for (let at = start; at < this.#text.length; at++) {
      if (this.#text[at] === '\\' && !isRaw) at++;
      else if (this.#text.startsWith(close, at)) return this.#take(from, at + close.length);
      else if (this.#text[at] === '\n' && !spansLines) return this.#take(from, at);
      else if (hasCode && this.#text.startsWith('${', at) && this.#templates.length < deepestTemplate) {
        this.#templates.push({ style, braces: 0 });
        const after = this.#take(from, at + 2);
        this.#before = '{';
        return after;
      }
    }
    return this.#take(from, this.#text.length);
  }

  /** Whether a value may stand here, as against an operator. */
  #mayBeValue(): boolean {
    if (this.#before === '') return true;
    if (/[\w$]/.test(this.#before)) return valueFollows.test(this.#word);
    return !/[)\]"'`.]/.test(this.#before);
  }

  /** The place after the expression that begins at `start`; undefined if its line has no end of one. */
  #endOfRegularExpression(start: number): number | undefined {
    if (start < this.#noExpressionBefore) return undefined;
    let inClass = false;
    let at = start + 1;
    for (; at < this.#text.length; at++) {
      const character = this.#text[at];
      if (character === '\n') break;
      if (character === '\\') at++;
      else if (character === '[') inClass = true;
      else if (character === ']') inClass = false;
      else if (character === '/' && !inClass) return at + 1;
    }
    this.#noExpressionBefore = at;
    return undefined;
  }

  /** A value was read: a slash after it divides. */
  #take(from: number, to: number): number {
    this.#advance(from, to);
    this.#before = ')';
    this.#word = '';
    this.#isAlone = false;
    return to;
  }

  #advance(from: number, to: number): number {
    for (let at = from; at < to; at++) {
      if (this.#text[at] !== '\n') continue;
      this.#line++;
      this.#isAlone = true;
    }
    return to;
  }
}
