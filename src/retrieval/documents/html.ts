import { Parser } from 'htmlparser2';
import type { Block, BlockKind, ParsedDocument } from './blocks.ts';

/** Elements whose text is not part of the page's content. */
const skipped = new Set([
  'script',
  'style',
  'nav',
  'template',
  'noscript',
  'svg',
  'head',
  'iframe',
  'button',
  'form',
]);

const blockKinds: Readonly<Record<string, BlockKind>> = {
  ...Object.fromEntries(
    'p div section article main aside header footer ul ol dl dt dd blockquote figure figcaption address body details summary hr table caption'
      .split(' ')
      .map((name) => [name, 'paragraph'] as const),
  ),
  ...Object.fromEntries(['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((name) => [name, 'heading'] as const)),
  li: 'listItem',
  pre: 'code',
  tr: 'table',
};

/** Blocks of an HTML page: the text of its elements, line by line as in the source, without markup and navigation. */
export function parseHtml(text: string): ParsedDocument {
  const collector = new HtmlCollector(text);
  const parser = new Parser({
    onopentag: (name) => {
      collector.open(name);
    },
    ontext: (data) => {
      collector.text(data, parser.startIndex);
    },
    onclosetag: (name) => {
      collector.close(name);
    },
  });
  parser.end(text);
  return collector.finish();
}

interface TextLine {
  text: string;
  line: number;
}

class HtmlCollector {
  readonly #lineStarts: number[] = [0];
  readonly #blocks: Block[] = [];
  readonly #open: string[] = [];
  #kind: BlockKind = 'paragraph';
  #level = 0;
  #lines: TextLine[] = [];
  #title = '';
  /** The line of the last text, where breaks without text of their own are put. */
  #lastLine = 1;

  constructor(source: string) {
    for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1))
      this.#lineStarts.push(at + 1);
  }

  open(name: string): void {
    this.#open.push(name);
    if (name === 'br') {
      this.#lines.push({ text: '', line: this.#lastLine });
    } else if (name === 'td' || name === 'th') {
      if (this.#lines.length > 0) this.#append(' | ');
    } else if (this.#startsBlock(name)) {
      this.#flush();
      this.#kind = blockKinds[name]!;
      this.#level = Number(/^h([1-6])$/.exec(name)?.[1] ?? 0);
    }
  }

  close(name: string): void {
    if (this.#startsBlock(name)) {
      this.#flush();
      this.#kind = 'paragraph';
    }
    const index = this.#open.lastIndexOf(name);
    if (index !== -1) this.#open.splice(index);
  }

  text(data: string, offset: number): void {
    if (this.#open.at(-1) === 'title' && this.#open.includes('head')) this.#title += data;
    if (this.#open.some((name) => skipped.has(name))) return;
    const first = this.#lineOf(offset);
    data.split('\n').forEach((part, index) => {
      this.#lastLine = first + index;
      if (index > 0 || this.#lines.length === 0) this.#lines.push({ text: '', line: first + index });
      this.#append(this.#kind === 'code' ? part : part.replace(/\s+/g, ' '));
    });
  }

  finish(): ParsedDocument {
    this.#flush();
    const title = this.#title.replace(/\s+/g, ' ').trim();
    return { blocks: this.#blocks, ...(title === '' ? {} : { title }) };
  }

  /** Blocks inside a table's row or a code block do not end it. */
  #startsBlock(name: string): boolean {
    if (!(name in blockKinds)) return false;
    const around = name === this.#open.at(-1) ? this.#open.slice(0, -1) : this.#open;
    return !around.some((outer) => outer === 'tr' || outer === 'pre');
  }

  #append(text: string): void {
    const last = this.#lines.at(-1);
    if (last) last.text += text;
    else this.#lines.push({ text, line: this.#lastLine });
  }

  #flush(): void {
    const isCode = this.#kind === 'code';
    let lines = this.#lines;
    this.#lines = [];
    if (isCode) {
      while (lines[0]?.text.trim() === '') lines = lines.slice(1);
      while (lines.at(-1)?.text.trim() === '') lines = lines.slice(0, -1);
      for (const line of lines) line.text = line.text.trimEnd();
    } else {
      for (const line of lines) line.text = line.text.trim();
      lines = lines.filter((line) => line.text !== '');
      if (this.#kind === 'table' && lines.length > 1) {
        lines = [{ text: lines.map((line) => line.text).join(' '), line: lines[0]!.line }];
      }
    }
    if (lines.length === 0) return;
    const text = lines.map((line) => line.text).join('\n');
    const block: Block = { kind: this.#kind, text, lines: lines.map((line) => line.line) };
    if (this.#kind === 'heading') {
      block.level = this.#level;
      block.title = text.replace(/\s+/g, ' ').replace(/\s*[¶#]$/, '');
    }
    this.#blocks.push(block);
  }

  /** The line of a character, by bisection. */
  #lineOf(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#lineStarts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }
}
