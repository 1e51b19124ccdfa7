/** The comparison panel as a person sees it: by labels and roles. */
import type { FrameLocator, Locator } from 'playwright-core';

export class PanelPage {
  readonly frame: FrameLocator;

  constructor(frame: FrameLocator) {
    this.frame = frame;
  }

  get question(): Locator {
    return this.frame.getByRole('textbox', { name: 'Question' });
  }

  get answers(): Locator {
    return this.frame.getByRole('region', { name: 'Answers' });
  }

  get status(): Locator {
    return this.frame.getByRole('region', { name: 'Index and model' });
  }

  button(name: string | RegExp): Locator {
    return this.frame.getByRole('button', { name }).first();
  }

  column(title: string): Locator {
    return this.frame.getByRole('article', { name: title, exact: true });
  }

  /** The answer of a column, without the numbers of the passages that its marks add. */
  async answer(title: string): Promise<string> {
    const answer = this.column(title).locator('.answer-text');
    const text = await answer.evaluate((shown) => {
      const copy = shown.cloneNode(true) as typeof shown;
      for (const mark of copy.querySelectorAll('sup')) mark.remove();
      return copy.textContent;
    });
    return text.trim();
  }

  /** The prompt of a column, as it went to the model. */
  async prompt(title: string): Promise<string> {
    return (await this.column(title).locator('.prompt-text').textContent()) ?? '';
  }

  passage(place: number): Locator {
    return this.frame
      .getByRole('list', { name: 'Passages' })
      .getByRole('listitem')
      .nth(place - 1);
  }

  async ask(question: string): Promise<void> {
    await this.question.fill(question);
    await this.afterRun(() => this.button('Ask').click());
  }

  async runAgain(): Promise<void> {
    await this.afterRun(() => this.button('Run Again').click());
  }

  /** Waits for the end of a run. */
  async done(): Promise<void> {
    await this.answers.getByText(/^Done in/).waitFor();
  }

  /** Starts a run and waits for its end: the note says something else, then `Done` again. */
  async afterRun(start: () => Promise<void>): Promise<void> {
    const note = this.answers.locator('.run-note');
    const ended = note.evaluate(
      (shown) =>
        new Promise<boolean>((resolve) => {
          let running = false;
          const observer = new MutationObserver(() => {
            const done = shown.textContent.startsWith('Done in');
            if (done && running) resolve(true);
            running ||= !done;
          });
          observer.observe(shown, { childList: true, subtree: true, characterData: true });
          running = !shown.textContent.startsWith('Done in');
          setTimeout(() => resolve(false), 90_000);
        }),
    );
    await start();
    if (!(await ended)) throw new Error(`The run did not end; it says "${await note.innerText()}".`);
  }
}
