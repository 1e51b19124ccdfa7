/** The settings of the manifest (`contributes.configuration`), typed. */
import * as v from 'valibot';
import * as vscode from 'vscode';
import {
  deviceChoices,
  precisionChoices,
  type AnswerSettings,
  type DeviceChoice,
  type PrecisionChoice,
} from '../protocol/comparison.ts';
import type { IndexOptions } from '../protocol/engine.ts';
import { choiceOf, defaultInputs, type PanelInputs } from '../protocol/panel.ts';
import { messageOf } from '../protocol/errors.ts';
import { variantPattern } from '../protocol/methods.ts';
import { finite, problemOf } from '../protocol/schema.ts';
import type { Choices } from './panel/comparisonSession.ts';
import { type Log, showWarning } from './show.ts';

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

const text = v.string();
const texts = v.array(text);
const number = (least: number): v.GenericSchema<unknown, number> => v.pipe(finite, v.minValue(least));
/** VS Code hands over whatever a settings file holds. */
const schemas: { [Name in keyof SettingTypes]: v.GenericSchema<unknown, SettingTypes[Name]> } = {
  model: text,
  modelFolders: texts,
  models: v.array(v.unknown()),
  hubEndpoint: text,
  tokenFile: text,
  tokenFileFolders: texts,
  device: v.picklist(deviceChoices),
  precision: v.picklist(precisionChoices),
  virtualTokens: number(0),
  passages: number(0),
  variants: v.array(v.pipe(text, v.regex(new RegExp(variantPattern('optional'))))),
  maxNewTokens: number(1),
  temperature: number(0),
  'index.automatic': v.boolean(),
  'index.exclude': texts,
  'index.sourceCode': v.boolean(),
  'index.maxFileSizeKb': number(1),
  'index.chunkWords': number(1),
  'index.embeddingModel': text,
  'prag.augmentedFile': text,
  'prag.fewShotFile': text,
  'prag.endpoint': text,
  'prag.endpointModel': text,
  'engine.idleUnloadMinutes': number(0),
  'engine.nodePath': text,
};
/** Said once for each. */
const reported = new Set<string>();

/**
 * The value of a setting; its default stands in the manifest. A value of another type counts as the default, and the user
 * is told.
 */
export function setting<Name extends keyof SettingTypes>(
  name: Name,
  scope?: vscode.ConfigurationScope,
): SettingTypes[Name] {
  const configuration = vscode.workspace.getConfiguration(section, scope);
  const value: unknown = configuration.get(name);
  const problem = problemOf(schemas[name], value);
  if (problem === undefined) return value as SettingTypes[Name];
  if (!reported.has(name)) {
    reported.add(name);
    void showWarning(
      vscode.l10n.t('The setting {0} is not used, its default is: {1}', `${section}.${name}`, problem),
    );
  }
  return configuration.inspect(name)?.defaultValue as SettingTypes[Name];
}

/** Whether the workspace has a value of its own: anybody may have written that. */
export function isOfWorkspace(name: keyof SettingTypes): boolean {
  const found = vscode.workspace.getConfiguration(section).inspect(name);
  return found?.workspaceValue !== undefined || found?.workspaceFolderValue !== undefined;
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

/** Writes what was chosen in a panel, or by a command, to the settings; the next window begins with it. */
export async function keepChoices(choices: Choices, log: Log): Promise<void> {
  try {
    if (choices.model) await changeSetting('model', choices.model);
    if (choices.tokenFile) await changeSetting('tokenFile', choices.tokenFile);
    if (choices.device) await changeSetting('device', choices.device);
    if (choices.precision) await changeSetting('precision', choices.precision);
  } catch (error) {
    log.warn(`The choice could not be kept in the settings: ${messageOf(error)}`);
  }
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
    // those without a number follow the slider
    columns: setting('variants').map((id) => choiceOf(id, -1)),
    settings,
  };
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
