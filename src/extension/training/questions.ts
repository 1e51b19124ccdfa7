/** The questions of "Train Virtual Tokens…", one quick input after the other. */
import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { ModelInfo } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import type { TrainingParts } from './parts.ts';
import { parseCount, parseLength, type RunLength } from './settingsOfRun.ts';
import { askForText, pickOne } from '../show.ts';

/** Data files of the workspace that are offered at most. */
const mostDataFiles = 20;
const mostTokens = 1000;
const mostPassages = 1000;
/** Models of less width are small ones. */
const narrowModel = 512;

export type DataChoice = { kind: 'file'; uri: vscode.Uri } | { kind: 'documents'; passages: number };

/** undefined: the user closed the question. */
export async function askForData(): Promise<DataChoice | undefined> {
  const files = await vscode.workspace.findFiles('**/*.jsonl', '**/node_modules/**', mostDataFiles);
  interface Item extends vscode.QuickPickItem {
    choice: 'documents' | 'browse' | vscode.Uri;
  }
  const items: Item[] = [
    ...files
      .filter(({ scheme }) => scheme === 'file')
      .map((uri): Item => ({
        label: basename(uri.fsPath),
        iconPath: new vscode.ThemeIcon('json'),
        description: vscode.workspace.asRelativePath(uri),
        choice: uri,
      })),
    {
      label: vscode.l10n.t('Data file…'),
      iconPath: new vscode.ThemeIcon('folder-opened'),
      detail: vscode.l10n.t('JSON lines of question, target and ret_passages; or prefix, suffix, completion'),
      choice: 'browse',
    },
    ...((vscode.workspace.workspaceFolders ?? []).length > 0
      ? [
          {
            label: vscode.l10n.t("Questions about this workspace's documents"),
            iconPath: new vscode.ThemeIcon('sparkle'),
            detail: vscode.l10n.t('A local model writes questions and answers; you review them first'),
            choice: 'documents',
          } satisfies Item,
        ]
      : []),
  ];
  const picked = await pickOne(items, {
    title: vscode.l10n.t('Train Virtual Tokens: data'),
    placeHolder: vscode.l10n.t('Questions with answers to train on'),
    matchOnDescription: true,
  });
  if (!picked) return undefined;
  if (picked.choice === 'documents') {
    const passages = await askForNumber(
      vscode.l10n.t('Train Virtual Tokens: passages to ask about'),
      vscode.l10n.t('Three questions are written about each; passages are spread over all documents.'),
      '40',
      mostPassages,
    );
    return passages === undefined ? undefined : { kind: 'documents', passages };
  }
  if (picked.choice !== 'browse') return { kind: 'file', uri: picked.choice };
  const opened = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Training data'),
    filters: { [vscode.l10n.t('JSON lines')]: ['jsonl', 'json', 'ndjson'] },
  });
  return opened?.[0] && { kind: 'file', uri: opened[0] };
}

/** A model that is on this machine; undefined: the user closed the question. */
export async function askForModel({ library, session }: TrainingParts): Promise<ModelInfo | undefined> {
  await library.known();
  const current = session.state.inputs.model;
  const usable = library.models
    .filter(({ problem }) => problem === undefined)
    .toSorted((a, b) => Number(b.id === current) - Number(a.id === current));
  const another = vscode.l10n.t('Another model…');
  const picked = await pickOne(
    [
      ...usable.map((info) => ({
        label: info.name,
        iconPath: new vscode.ThemeIcon('chip'),
        description: info.id === current ? vscode.l10n.t('model of the comparison') : '',
        info,
      })),
      { label: another, description: '', info: null },
    ],
    {
      title: vscode.l10n.t('Train Virtual Tokens: model'),
      placeHolder: vscode.l10n.t('The model stays as it is; the tokens are for it alone'),
    },
  );
  if (!picked) return undefined;
  if (picked.info) return picked.info;
  if ((await vscode.commands.executeCommand('springRag.selectModel')) !== true) return undefined;
  const { models, inputs } = session.state;
  const chosen = models.find(({ id }) => id === inputs.model);
  if (!chosen) throw new UserError(vscode.l10n.t('No model is selected.'));
  return chosen;
}

export function askForTokens(): Promise<number | undefined> {
  return askForNumber(
    vscode.l10n.t('Train Virtual Tokens: number of tokens'),
    vscode.l10n.t('Every step trains the first k of them, with a k drawn anew; any k can be used later.'),
    '50',
    mostTokens,
  );
}

export async function askForLength(examples: number): Promise<RunLength | undefined> {
  const text = await askForText({
    title: vscode.l10n.t('Train Virtual Tokens: how long'),
    prompt: vscode.l10n.t('{0} examples. Steps or epochs: "200 steps", "3 epochs".', examples),
    value: vscode.l10n.t('3 epochs'),
    ignoreFocusOut: true,
    validateInput: (value) =>
      parseLength(value) ? undefined : vscode.l10n.t('Expected "200 steps" or "3 epochs".'),
  });
  return text === undefined ? undefined : (parseLength(text) ?? undefined);
}

/** The paper's learning rate suits its models of some billion parameters; narrow models learn nothing with it. */
export async function askForLearningRate({ hiddenSize }: ModelInfo): Promise<number | undefined> {
  const narrow = hiddenSize < narrowModel;
  const rates = [
    {
      value: 1e-4,
      label: '0.0001',
      description: vscode.l10n.t('as in the paper, for models of 1B parameters and more'),
    },
    { value: 1e-3, label: '0.001', description: vscode.l10n.t('for models in between') },
    {
      value: 3e-3,
      label: '0.003',
      description: vscode.l10n.t('for very small models, such as the demo model'),
    },
  ];
  const picked = await pickOne(narrow ? rates.reverse() : rates, {
    title: vscode.l10n.t('Train Virtual Tokens: learning rate'),
    placeHolder: vscode.l10n.t('The first one suits this model'),
  });
  return picked?.value;
}

async function askForNumber(
  title: string,
  prompt: string,
  value: string,
  most: number,
): Promise<number | undefined> {
  const text = await askForText({
    title,
    prompt,
    value,
    ignoreFocusOut: true,
    validateInput: (typed) =>
      parseCount(typed, most) === null
        ? vscode.l10n.t('Expected a whole number from 1 to {0}.', most)
        : undefined,
  });
  return text === undefined ? undefined : (parseCount(text, most) ?? undefined);
}
