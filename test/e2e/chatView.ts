/** VS Code's chat as a person sees it. */
import type { Locator, Page } from 'playwright-core';

export class ChatView {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  get #view(): Locator {
    return this.#page.locator('.interactive-session').first();
  }

  /** Opens the chat with a model: VS Code looks for models when the first thing is asked, which then fails. */
  async open(model: string): Promise<void> {
    await this.#page.keyboard.press('Control+Alt+i');
    await this.#view.waitFor();
    await this.ask('@spring hello');
    await this.#view.locator('.interactive-input-part').getByText(model).waitFor();
  }

  async ask(text: string): Promise<void> {
    await this.#view.locator('.interactive-input-part .monaco-editor').first().click();
    // As typed: the names of participants are completed meanwhile.
    await this.#page.keyboard.type(text, { delay: 10 });
    await this.#page.waitForTimeout(500);
    await this.#page.keyboard.press('Escape');
    await this.#page.keyboard.press('Enter');
  }

  /** The last reply so far. */
  get reply(): Locator {
    return this.#view.locator('.interactive-response').last();
  }

  button(name: string | RegExp): Locator {
    return this.reply.getByRole('button', { name }).first();
  }

  /** A question that the chat puts to the user above the input. */
  confirmation(title: string): Locator {
    return this.#view.getByText(title).filter({ visible: true }).first();
  }

  /** A visible button anywhere in the chat. */
  choice(name: string): Locator {
    return this.#view.locator('.monaco-button', { hasText: name }).filter({ visible: true }).first();
  }

  /** The button that ends the reply in progress. */
  get stop(): Locator {
    return this.#view.getByRole('button', { name: /^(Cancel|Stop)/ }).first();
  }
}
