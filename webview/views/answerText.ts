/** The text of one answer with its marks, drawn token by token while it streams. */
import type { AnswerToken } from '../../src/protocol/comparison.ts';
import type { PanelColumn } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element } from '../dom.ts';
import { textOf } from '../shownColumns.ts';
import { confidenceOf, percentOf, visibleText } from '../text/confidence.ts';
import type { PassageSpan } from '../text/passageSpans.ts';
import { runsOf } from '../text/segments.ts';
import type { Span } from '../text/words.ts';
import type { TokenPopover } from './popover.ts';

/** What is to be seen in an answer. The arrays keep their identity as long as they hold the same. */
export interface Marks {
  confidence: boolean;
  added: readonly Span[];
  sources: readonly PassageSpan[];
  /** The number of a passage in the column's prompt, by id. */
  passageNumbers: ReadonlyMap<string, number>;
}

/**
 * The text of one answer. While it streams, new tokens are appended and nothing that stands is touched; once it
 * has ended, differences and passages are marked.
 */
export class AnswerText {
  readonly root = element('div', { class: 'answer-text', dir: 'auto' });
  readonly #controller: Controller;
  readonly #popover: TokenPopover;
  readonly #tokens = new WeakMap<HTMLElement, AnswerToken>();
  #shown: readonly AnswerToken[] = [];
  #marks: Marks | null = null;
  #streamed = new Text();

  constructor(controller: Controller, popover: TokenPopover) {
    this.#controller = controller;
    this.#popover = popover;
    this.root.addEventListener('pointerover', (event) => this.#showToken(event.target));
    this.root.addEventListener('pointerout', () => this.#popover.leave());
    this.root.addEventListener('focusin', (event) => this.#showToken(event.target));
    this.root.addEventListener('focusout', () => this.#popover.leave());
    this.root.addEventListener('keydown', (event) => this.#moveAmongTokens(event));
  }

  update(column: PanelColumn, marks: Marks): void {
    const { tokens } = column;
    const plain = !marks.confidence && marks.added.length === 0 && marks.sources.length === 0;
    const sameMarks = this.#marks !== null && equalMarks(this.#marks, marks);
    const continues = continuesWith(this.#shown, tokens);
    if (sameMarks && continues && this.#shown.length > 0) {
      if (tokens.length === this.#shown.length) return;
      const added = tokens.slice(this.#shown.length);
      if (marks.confidence) this.root.append(...added.map((token) => this.#tokenElement(token)));
      else if (plain) {
        const text = added.map((token) => token.text).join('');
        this.#streamed.appendData(this.#streamed.data === '' ? text.trimStart() : text);
      } else this.#draw(column, marks, plain);
    } else this.#draw(column, marks, plain);
    this.#shown = tokens;
    this.#marks = marks;
    if (marks.confidence) this.#keepOneTabStop();
  }

  #draw(column: PanelColumn, marks: Marks, plain: boolean): void {
    const text = textOf(column);
    if (marks.confidence && column.tokens.length > 0)
      this.root.replaceChildren(...column.tokens.map((token) => this.#tokenElement(token)));
    else if (plain) {
      this.#streamed = new Text(text);
      this.root.replaceChildren(this.#streamed);
    } else
      this.root.replaceChildren(
        ...runsOf(text, marks.added, marks.sources).flatMap(({ source, parts }): Node[] => {
          const nodes: Node[] = parts.map((part) =>
            part.added ? element('ins', { class: 'difference' }, part.text) : new Text(part.text),
          );
          const number = source && marks.passageNumbers.get(source.passageId);
          return source && number ? [this.#sourceLink(source, number, nodes)] : nodes;
        }),
      );
  }

  #sourceLink({ passageId, inPassage }: PassageSpan, number: number, nodes: Node[]): HTMLElement {
    return element(
      'a',
      {
        class: 'source',
        href: `#passage-text-${passageId}`,
        title: `In passage ${number} of this prompt: show it`,
        onclick: (event) => {
          event.preventDefault();
          this.#controller.showInPassage(passageId, inPassage);
        },
      },
      ...nodes,
      // Said in the link's description; read with the text it would look like a part of the answer.
      element('sup', { class: 'source-number', 'aria-hidden': 'true' }, String(number)),
    );
  }

  #tokenElement(token: AnswerToken): HTMLElement {
    const confidence = confidenceOf(token);
    const stop = confidence !== 'sure' && token.text !== '';
    const span = element(
      'span',
      stop
        ? {
            class: `token ${confidence}`,
            tabindex: -1,
            role: 'button',
            'aria-label': `${visibleText(token)}, ${percentOf(token.logProbability)}`,
          }
        : { class: 'token' },
      token.text,
    );
    this.#tokens.set(span, token);
    return span;
  }

  #showToken(target: EventTarget | null): void {
    const token = target instanceof HTMLElement ? this.#tokens.get(target) : undefined;
    if (token) this.#popover.show(target as HTMLElement, token);
  }

  /** Doubtful tokens are one stop of the Tab key; the arrow keys lead from one to the next. */
  #keepOneTabStop(): void {
    if (this.root.querySelector('[tabindex="0"]')) return;
    this.root.querySelector('[tabindex]')?.setAttribute('tabindex', '0');
  }

  #moveAmongTokens(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const stops = [...this.root.querySelectorAll<HTMLElement>('.token[tabindex]')];
    const place = stops.indexOf(document.activeElement as HTMLElement);
    const next = step === undefined || place < 0 ? undefined : stops[place + step];
    if (!next) return;
    event.preventDefault();
    stops[place]!.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/** True if the tokens begin with those that are shown; the host may have sent them as new objects. */
function continuesWith(shown: readonly AnswerToken[], tokens: readonly AnswerToken[]): boolean {
  return (
    tokens.length >= shown.length &&
    shown.every(({ tokenId, text }, place) => {
      const token = tokens[place]!;
      return token.tokenId === tokenId && token.text === text;
    })
  );
}

function equalMarks(a: Marks, b: Marks): boolean {
  return (
    a.confidence === b.confidence &&
    a.added === b.added &&
    a.sources === b.sources &&
    a.passageNumbers === b.passageNumbers
  );
}
