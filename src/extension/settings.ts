/** The settings of the manifest (`contributes.configuration`), typed. */
import * as vscode from 'vscode';
import type { AnswerSettings, DeviceChoice, PrecisionChoice, VariantId } from '../protocol/comparison.ts';
import type { IndexOptions } from '../protocol/engine.ts';
import { choiceOf, type ColumnChoice, defaultInputs, type PanelInputs } from '../protocol/panel.ts';

export const section = 'springRag';

interface SettingTypes {
  model: string;
  modelFolders: string[];
  models: unknown[];
  hubEndpoint: string;
  tokenFile: string;
  tokenFileFolders: string[];
  device: DeviceChoice;
  precision: PrecisionChoice;
  virtualTokens: number;
  passages: number;
  variants: string[];
  maxNewTokens: number;
  temperature: number;
  'index.automatic': boolean;
  'index.exclude': string[];
  'index.sourceCode': boolean;
  'index.maxFileSizeKb': number;
  'index.chunkWords': number;
  'index.embeddingModel': string;
  'prag.augmentedFile': string;
  'prag.fewShotFile': string;
  'prag.endpoint': string;
  'prag.endpointModel': string;
  'engine.idleUnloadMinutes': number;
  'engine.nodePath': string;
}

/** The value of a setting; its default stands in the manifest. */
export function setting<Name extends keyof SettingTypes>(
  name: Name,
  scope?: vscode.ConfigurationScope,
): SettingTypes[Name] {
  return vscode.workspace.getConfiguration(section, scope).get(name) as SettingTypes[Name];
}

/** Changes a setting where its value lives now: in the workspace if it has one of its own, else for the user. */
export async function changeSetting<Name extends keyof SettingTypes>(
  name: Name,
  value: SettingTypes[Name],
): Promise<void> {
  const configuration = vscode.workspace.getConfiguration(section);
  const found = configuration.inspect(name);
  const target =
    found?.workspaceValue !== undefined
      ? vscode.ConfigurationTarget.Workspace
      : vscode.ConfigurationTarget.Global;
  await configuration.update(name, value, target);
}

/** A new comparison's inputs, as the settings say. */
export function inputsFromSettings(): PanelInputs {
  const settings: AnswerSettings = {
    ...defaultInputs.settings,
    maxNewTokens: setting('maxNewTokens'),
    temperature: setting('temperature'),
  };
  return {
    ...defaultInputs,
    passageCount: setting('passages'),
    model: setting('model'),
    device: setting('device'),
    precision: setting('precision'),
    tokenFile: setting('tokenFile') || null,
    k: setting('virtualTokens'),
    columns: setting('variants').map(columnChoice),
    settings,
  };
}

/** As the manifest's pattern allows them; `spring` and `spring+prag` follow the slider. */
function columnChoice(variant: string): ColumnChoice {
  if (variant === 'spring' || variant === 'spring+prag') return { kind: variant };
  return choiceOf(variant as VariantId, -1);
}

/** A folder from elsewhere must not bring in, by a link, documents that lie outside it: then the user must trust it. */
function followLinks(folder: vscode.Uri): boolean {
  const wanted = vscode.workspace.getConfiguration('search', folder).get<boolean>('followSymlinks') ?? true;
  return wanted && vscode.workspace.isTrusted;
}

/** How the workspace's documents are indexed; what VS Code hides (`files.exclude`) is left out too. */
export function indexOptions(folder: vscode.Uri): IndexOptions {
  const hidden =
    vscode.workspace.getConfiguration('files', folder).get<Record<string, unknown>>('exclude') ?? {};
  return {
    exclude: [
      ...setting('index.exclude', folder),
      ...Object.keys(hidden).filter((pattern) => hidden[pattern] === true),
    ],
    followLinks: followLinks(folder),
    sourceCode: setting('index.sourceCode', folder),
    maxTextBytes: setting('index.maxFileSizeKb', folder) * 1024,
    chunkWords: setting('index.chunkWords', folder),
    embedder: setting('index.embeddingModel') || null,
  };
}
