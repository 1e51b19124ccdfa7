/** HTML and XHTML. */
import { Parser } from 'htmlparser2';
import { lineCounter, type Block, type BlockKind, type ParsedDocument } from './blocks.ts';

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
  'select',
  'textarea',
  'object',
]);

/** What may stand in a head; anything else ends it, whether it is closed or not. */
const ofHead = new Set(['title', 'meta', 'link', 'script', 'style', 'base', 'noscript', 'template']);

const blockKinds: Readonly<Record<string, BlockKind>> = {
  ...Object.fromEntries(
    (
      'p div section article main aside header footer ul ol menu dl dt dd blockquote figure figcaption address body ' +
      'details summary hr table caption form fieldset legend center hgroup search'
    )
      .split(' ')
      .map((name) => [name, 'paragraph'] as const),
  ),
  ...Object.fromEntries(['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((name) => [name, 'heading'] as const)),
  li: 'listItem',
  pre: 'code',
  tr: 'table',
};

/**
 * Blocks of an HTML page: the text of its elements, line by line as in the source, without markup and navigation.
 * `<title/>` is closed, as in XHTML: read as a browser reads HTML it would swallow the rest of the page.
 */
export function parseHtml(text: string): ParsedDocument {
  const collector = new HtmlCollector(text);
  const parser = new Parser(
    {
      onopentag: (name) => {
        collector.open(name);
      },
      ontext: (data) => {
        collector.text(data, parser.startIndex);
      },
      onclosetag: (name) => {
        collector.close(name);
      },
    },
    { recognizeSelfClosing: true, recognizeCDATA: true },
  );
  parser.end(text);
  return collector.finish();
}

interface TextLine {
  text: string;
  line: number;
}

class HtmlCollector {
  readonly #lineOf: (offset: number) => number;
  readonly #blocks: Block[] = [];
  readonly #open: string[] = [];
  /** How many of the open elements are skipped ones, heads, and ones in which no block is started. */
  #skipped = 0;
  #heads = 0;
  #closed = 0;
  #kind: BlockKind = 'paragraph';
  #level = 0;
  #lines: TextLine[] = [];
  #title = '';
  /** The line of the last text, where breaks without text of their own are put. */
  #lastLine = 1;

  constructor(source: string) {
    this.#lineOf = lineCounter(source);
  }

  open(name: string): void {
    if (this.#heads > 0 && !ofHead.has(name) && this.#open.at(-1) === 'head') this.#leave('head');
    const startsBlock = this.#startsBlock(name);
    this.#enter(name);
    if (name === 'br') {
      this.#lines.push({ text: '', line: this.#lastLine });
    } else if (name === 'td' || name === 'th') {
      if (this.#lines.length > 0) this.#append(' | ');
    } else if (startsBlock) {
      this.#flush();
      this.#kind = blockKinds[name]!;
      this.#level = Number(/^h([1-6])$/.exec(name)?.[1] ?? 0);
    } else if (Object.hasOwn(blockKinds, name)) {
      this.#separate();
    }
  }

  close(name: string): void {
    this.#leave(name);
    if (this.#startsBlock(name)) {
      this.#flush();
      this.#kind = 'paragraph';
    } else if (Object.hasOwn(blockKinds, name)) {
      this.#separate();
    }
  }

  text(data: string, offset: number): void {
    if (this.#open.at(-1) === 'title' && this.#heads > 0) this.#title += data;
    if (this.#skipped > 0) return;
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

  #enter(name: string): void {
    this.#open.push(name);
    this.#count(name, 1);
  }

  #leave(name: string): void {
    const index = this.#open.lastIndexOf(name);
    if (index === -1) return;
    for (const left of this.#open.splice(index)) this.#count(left, -1);
  }

  #count(name: string, by: number): void {
    if (skipped.has(name)) this.#skipped += by;
    if (name === 'head') this.#heads += by;
    if (name === 'tr' || name === 'pre') this.#closed += by;
  }

  /** Blocks inside a table's row or a code block do not end it. */
  #startsBlock(name: string): boolean {
    return Object.hasOwn(blockKinds, name) && this.#closed === 0;
  }

  /** Where a block begins or ends that is not one of its own: words on both sides stay apart, lines of code, too. */
  #separate(): void {
    const last = this.#lines.at(-1);
    if (!last || last.text === '') return;
    if (this.#kind === 'code') this.#lines.push({ text: '', line: this.#lastLine });
    else last.text += ' ';
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
      const first = lines.findIndex((line) => line.text.trim() !== '');
      const last = lines.findLastIndex((line) => line.text.trim() !== '');
      lines = first === -1 ? [] : lines.slice(first, last + 1);
      for (const line of lines) line.text = line.text.trimEnd();
    } else {
      for (const line of lines) line.text = line.text.trim();
      lines = lines.filter((line) => line.text !== '');
      if (this.#kind === 'table' && lines.length > 1) {
        lines = [{ text: lines.map((line) => line.text).join(' '), line: lines[0]!.line }];
      }
      if (this.#kind === 'table') {
        for (const line of lines) line.text = line.text.replace(/ {2,}/g, ' ');
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
}
