/** What the chat participant writes: text stays text. The only way to the stream of a reply. */
import * as vscode from 'vscode';
import { escapeMarkdown, plain } from '../harmless.ts';
import type { SearchHit } from '../../protocol/engine.ts';
import { documentTextUri } from '../documentText/documentTexts.ts';
import { isBinaryDocument } from '../documentText/extractedText.ts';
import { hitLocation } from '../hitLocation.ts';
import { placeOf } from '../../protocol/passages.ts';

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
    this.#stream.reference(shownLocation(hit));
  }

  /** The numbered list of passages below an answer. */
  sources(hits: readonly SearchHit[]): void {
    if (hits.length > 0) this.#stream.markdown('\n\n');
    for (const [place, hit] of hits.entries()) {
      this.#stream.markdown(`\\[${String(place + 1)}\\] `);
      this.#stream.anchor(shownLocation(hit), plain(placeOf(hit)));
      this.#stream.markdown('  \n');
    }
  }

  button(command: string, title: string, ...values: string[]): void {
    this.#stream.button({ command, title, arguments: values });
  }
}

/** An editor shows the bytes of a PDF or Word document: its text is linked instead. */
function shownLocation(hit: SearchHit): vscode.Location | vscode.Uri {
  const location = hitLocation(hit);
  return isBinaryDocument(hit.path) ? documentTextUri(location.uri) : location;
}
