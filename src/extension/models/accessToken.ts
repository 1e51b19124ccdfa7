/** The Hub's access token: typed by the user, kept in VS Code's secret storage and nowhere else. */
import * as vscode from 'vscode';
import { askForText } from '../show.ts';

export class AccessToken {
  readonly #secrets: vscode.SecretStorage;
  readonly #endpoint: () => string;

  /** @param endpoint a token belongs to one Hub: that of another endpoint is not sent to this one */
  constructor(secrets: vscode.SecretStorage, endpoint: () => string) {
    this.#secrets = secrets;
    this.#endpoint = endpoint;
  }

  async get(): Promise<string | undefined> {
    return this.#secrets.get(this.#key);
  }

  /** Asks for a token and keeps it; false if the user closed the box. */
  async ask(): Promise<boolean> {
    const key = this.#key;
    const typed = await askForText({
      title: vscode.l10n.t('Access token of the Hugging Face Hub'),
      prompt: vscode.l10n.t(
        'Make one with the right to read at {0}/settings/tokens. It is kept in the secret storage of VS Code and sent to {0} alone.',
        this.#endpoint(),
      ),
      placeHolder: 'hf_…',
      password: true,
      ignoreFocusOut: true,
      validateInput: (value) =>
        /^[\x21-\x7e]*$/.test(value.trim()) ? undefined : vscode.l10n.t('A token has no spaces in it.'),
    });
    const token = typed?.trim() ?? '';
    if (token === '') return false;
    await this.#secrets.store(key, token);
    return true;
  }

  async forget(): Promise<void> {
    await this.#secrets.delete(this.#key);
  }

  get #key(): string {
    return `hubToken ${URL.parse(this.#endpoint())?.origin ?? this.#endpoint()}`;
  }
}
