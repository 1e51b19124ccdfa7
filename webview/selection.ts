/** What the state says of the selected embedding file. */
import type { TokenFileInfo } from '../src/protocol/comparison.ts';
import type { PanelState } from '../src/protocol/panel.ts';
import { tokenFileLabels } from '../src/protocol/tokenFileLabels.ts';

/** Why a file cannot be used with the selected model; null: it can. */
export function problemOf(info: TokenFileInfo, fit: PanelState['tokenFileFit']): string | null {
  return info.problem ?? fit[info.path] ?? null;
}

/** Virtual tokens in the selected file; 0 without one. */
export function rowsOfSelected({ tokenFiles, inputs }: PanelState): number {
  return tokenFiles.find(({ path }) => path === inputs.tokenFile)?.rows ?? 0;
}

/** What a column keeps that is to stay with the file and the k of now; undefined: no file is chosen. */
export function chosenTokens({
  tokenFiles,
  inputs,
}: PanelState): { k: number; tokenFile: string } | undefined {
  const place = tokenFiles.findIndex(({ path }) => path === inputs.tokenFile);
  const tokenFile = tokenFileLabels(tokenFiles)[place];
  return tokenFile === undefined ? undefined : { k: inputs.k, tokenFile };
}

export function problemOfSelected({ tokenFiles, tokenFileFit, inputs }: PanelState): string | null {
  const { tokenFile } = inputs;
  if (tokenFile === null) return null;
  const info = tokenFiles.find(({ path }) => path === tokenFile);
  return info ? problemOf(info, tokenFileFit) : (tokenFileFit[tokenFile] ?? null);
}
