/** The questions that were asked in this workspace, latest first. */
import * as v from 'valibot';
import * as vscode from 'vscode';

const key = 'springRag.questions';
const mostQuestions = 50;

export class History implements vscode.Disposable {
  readonly #memory: vscode.Memento;
  readonly #changes = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changes.event;

  constructor(memory: vscode.Memento) {
    this.#memory = memory;
  }

  get questions(): string[] {
    const stored: unknown = this.#memory.get(key, []);
    return v.is(v.array(v.string()), stored) ? stored : [];
  }

  async add(question: string): Promise<void> {
    await this.#store(
      [question, ...this.questions.filter((asked) => asked !== question)].slice(0, mostQuestions),
    );
  }

  async remove(question: string): Promise<void> {
    await this.#store(this.questions.filter((asked) => asked !== question));
  }

  async clear(): Promise<void> {
    await this.#store([]);
  }

  dispose(): void {
    this.#changes.dispose();
  }

  async #store(questions: string[]): Promise<void> {
    await this.#memory.update(key, questions);
    this.#changes.fire();
  }
}
