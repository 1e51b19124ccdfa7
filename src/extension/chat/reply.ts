/** What the chat participant writes: text stays text. The only way to the stream of a reply. */
import * as vscode from 'vscode';
import { escapeMarkdown, plain } from '../harmless.ts';
import type { SearchHit } from '../../protocol/engine.ts';
import { hitLocation } from '../hitLocation.ts';

export class Reply {
  readonly #stream: vscode.ChatResponseStream;

  constructor(stream: vscode.ChatResponseStream) {
    this.#stream = stream;
  }

  /** A piece of text, without any markup. */
  text(text: string): void {
    this.#stream.markdown(escapeMarkdown(text));
  }

  /** What goes on now; VS Code reads Markdown here, too. */
  progress(text: string): void {
    this.#stream.progress(escapeMarkdown(text));
  }

  reference(hit: SearchHit): void {
    this.#stream.reference(hitLocation(hit));
  }

  /** The numbered list of passages below an answer. */
  sources(hits: readonly SearchHit[]): void {
    if (hits.length > 0) this.#stream.markdown('\n\n');
    for (const [place, hit] of hits.entries()) {
      this.#stream.markdown(`\\[${String(place + 1)}\\] `);
      this.#stream.anchor(hitLocation(hit), plain(`${hit.path ?? ''}:${String(hit.startLine ?? 1)}`));
      this.#stream.markdown('  \n');
    }
  }

  button(command: string, title: string, ...values: string[]): void {
    this.#stream.button({ command, title, arguments: values });
  }
}
