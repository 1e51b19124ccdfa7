/** What the extension hands to VS Code, with texts of files that try to be more than text. VS Code itself is a stub here. */
/* eslint-disable no-control-regex -- control characters are what is looked for */
import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';

const calls: [name: string, ...values: unknown[]][] = [];

/** Every function of `vscode.window` keeps what it was given. */
const stub = {
  window: new Proxy(
    {},
    {
      get:
        (_, name: string) =>
        (...values: unknown[]): unknown => {
          calls.push([name, ...values]);
          if (name === 'showQuickPick') return Promise.resolve((values[0] as unknown[])[0]);
          if (name === 'createOutputChannel') {
            return {
              error: (text: string) => calls.push(['log', text]),
              info: (text: string) => calls.push(['log', text]),
            };
          }
          if (name === 'withProgress') {
            const work = values[1] as (progress: unknown, token: unknown) => unknown;
            return work({ report: (value: unknown) => calls.push(['report', value]) }, {});
          }
          return Promise.resolve(undefined);
        },
    },
  ),
  TreeItem: class {
    label: string;
    constructor(label: string) {
      this.label = label;
    }
  },
  EventEmitter: class {
    event = (): void => undefined;
    fire = (): void => undefined;
  },
  Disposable: { from: () => ({ dispose: () => undefined }) },
  MarkdownString: class {
    value: string;
    constructor(value: string) {
      this.value = value;
    }
  },
  Range: Object,
  Location: Object,
  Uri: { file: (path: string) => ({ path }), joinPath: (_: unknown, path: string) => ({ path }) },
  workspace: {},
};

/** As VS Code finds links in messages, and icons in labels. */
const acts = /\]\((?:https?:\/\/|command:|file:)|\$\([a-z-]+(?:~[a-z]+)?\)/i;
const hostile =
  'X] [Repair](command:workbench.action.quit) $(zap) \u001b[31m \u202e[a](https://example.invalid)';

/** Every text within a value. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

describe('what VS Code is given to show', () => {
  let show: typeof import('../../../src/extension/show.ts');
  let listView: typeof import('../../../src/extension/views/listView.ts');
  let reply: typeof import('../../../src/extension/chat/reply.ts');
  before(async () => {
    (globalThis as Record<string, unknown>)['vscodeStub'] = stub;
    const names = Object.keys(stub);
    const source = names.map((name) => `export const ${name} = globalThis.vscodeStub.${name};`).join('\n');
    const hooks = registerHooks({
      resolve: (specifier, context, next) =>
        specifier === 'vscode' ? { url: 'stub:vscode', shortCircuit: true } : next(specifier, context),
      load: (url, context, next) =>
        url === 'stub:vscode' ? { format: 'module', source, shortCircuit: true } : next(url, context),
    });
    show = await import('../../../src/extension/show.ts');
    listView = await import('../../../src/extension/views/listView.ts');
    reply = await import('../../../src/extension/chat/reply.ts');
    hooks.deregister();
  });
  beforeEach(() => (calls.length = 0));

  const nothingActs = (): void => {
    const texts = calls.flatMap(([, ...values]) => values.flatMap(textsOf));
    assert.ok(
      texts.some((text) => text.includes('Repair')),
      'it was shown',
    );
    for (const text of texts) {
      assert.doesNotMatch(text, acts);
      assert.doesNotMatch(text, /[\u001b\u202e]/);
    }
  };

  it('messages, with the details of dialogs', async () => {
    await show.showError(hostile);
    await show.showWarning(hostile, { modal: true, detail: hostile }, 'Yes');
    await show.showInformation(hostile, 'Show Log');
    show.showStatus(hostile, 10);
    nothingActs();
    assert.deepEqual(
      calls.map(([name]) => name),
      ['showErrorMessage', 'showWarningMessage', 'showInformationMessage', 'setStatusBarMessage'],
    );
    assert.equal(calls[1]!.at(-1), 'Yes');
    assert.equal((calls[1]![2] as { modal: boolean }).modal, true);
  });

  it('progress', async () => {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- there is no VS Code here
    await show.withProgress({ location: 15, title: hostile }, (progress) => {
      progress.report({ message: hostile, increment: 5 });
      return Promise.resolve();
    });
    calls.splice(0, 1, ['withProgress', (calls[0]![1] as { title: string }).title]);
    nothingActs();
  });

  it('pickers and input boxes; what was picked is what was given', async () => {
    const item = { label: hostile, description: hostile, detail: hostile, path: hostile };
    const picked = await show.pickOne([item], { title: hostile, placeHolder: hostile });
    assert.equal(picked, item);
    await show.askForText({ title: hostile, prompt: hostile, placeHolder: hostile });
    const [items] = calls[0]!.slice(1) as [{ label: string; description: string; detail: string }[]];
    const { label, description, detail } = items[0]!;
    calls[0]!.splice(1, 1, { label, description, detail });
    nothingActs();
  });

  it('the log', () => {
    const log = show.makeLog('SPRING');
    log.error(hostile);
    log.info(new Error(`${hostile}\nhttps://example.invalid`));
    for (const [, text] of calls.slice(1)) assert.doesNotMatch(String(text), /:\/\/|\u001b/);
    assert.equal(calls.length, 3);
  });

  it('rows of views', () => {
    listView.registerListView('x', () => [], []);
    const provider = calls[0]![2] as { getTreeItem: (row: unknown) => Record<string, unknown> };
    const row = { label: hostile, description: hostile, tooltip: hostile, path: hostile };
    const { label, description, tooltip, path } = provider.getTreeItem(row);
    assert.equal(path, hostile, 'what commands get stays what it is');
    calls.splice(0, 1, ['row', label, description, tooltip]);
    nothingActs();
  });

  it('the chat', () => {
    const stream = new Proxy(
      {},
      {
        get:
          (_, name: string) =>
          (...values: unknown[]) =>
            calls.push([name, ...values]),
      },
    );
    const answer = new reply.Reply(stream as never);
    answer.text(hostile.replace(/[\u001b\u202e]/g, ''));
    answer.progress('Answering with [Repair](command:x)');
    for (const [, text] of calls) assert.doesNotMatch(String(text), /[^\\]\]|[^\\]\(|:\/\//);
    assert.equal(show.markdownText('[a](command:b)').value, '\\[a\\]\\(command\\:b\\)');
  });
});
