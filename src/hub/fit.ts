/**
 * Which embedding file fits which model. The width decides whether it can run at all; whether it helps depends on the
 * very model it was trained for, which the weights, the rows' hash, the file's metadata or its name tell, in this order.
 */
import { basename, dirname } from 'node:path';
import { compareWeights } from '../checkpoint/weightsFingerprint.ts';
import { findEntry } from './catalogue.ts';
import type { Catalogue, ModelEntry, TokenFileEntry } from './types.ts';

/** What is known of a file of virtual tokens; a VirtualTokens has these fields. */
export interface TokenFileFacts {
  hiddenSize: number;
  path?: string;
  /** `backbone`: the name of the model it was trained for; `backboneFingerprint`: that of its weights. */
  metadata?: Readonly<Record<string, string>>;
  /** Of the rows as float32 little-endian, as `spring inspect` prints it. */
  sha256?: string;
}

/** What is known of a model. */
export interface ModelFacts {
  hiddenSize: number;
  /** Id, repository or folder, as the user named it. */
  name: string;
  folder?: string;
  /** See checkpoint/weightsFingerprint.ts. */
  weightsFingerprint?: string;
}

export interface TokenFileFit {
  /**
   * `fits`: trained for this model. `unknown-backbone`: the width is right, but it was trained for another model or
   * nobody knows for which: the answers may be worse than without; warn. `wrong-width`: cannot be used.
   */
  fit: 'fits' | 'unknown-backbone' | 'wrong-width';
  /** The model it was trained for, as far as known. */
  backbone: string | null;
  evidence: 'weights' | 'hash' | 'metadata' | 'file name' | 'none';
  /** One sentence for people. */
  message: string;
}

/** Whether a file of virtual tokens belongs to a model. */
export function fitOf(tokenFile: TokenFileFacts, model: ModelFacts, catalogue: Catalogue): TokenFileFit {
  const { backbone, evidence } = recordedBackbone(tokenFile, catalogue);
  const file = tokenFile.path === undefined ? 'This file' : basename(tokenFile.path);
  if (tokenFile.hiddenSize !== model.hiddenSize) {
    const origin = backbone === null ? '' : ` It was trained for ${backbone}.`;
    return {
      fit: 'wrong-width',
      backbone,
      evidence,
      message: `${file} has rows of ${tokenFile.hiddenSize} numbers, but ${model.name} takes ${model.hiddenSize}: they cannot be used together.${origin}`,
    };
  }
  const byWeights = fitOfWeights(tokenFile, model, { file, backbone });
  if (byWeights) return byWeights;
  if (backbone === null) {
    const message = `${file} does not say which model it was trained for. Its width fits ${model.name}; if it was another model, answers get worse.`;
    return { fit: 'unknown-backbone', backbone, evidence, message };
  }
  const identity = identityOf(model, catalogue);
  if (identity.includes(canonicalName(backbone, catalogue))) {
    return { fit: 'fits', backbone, evidence, message: `${file} was trained for ${backbone}.` };
  }
  const message = `${file} was trained for ${backbone}, and ${model.name} is another model or cannot be recognised as that one. Its width fits, but answers may be worse than without it.`;
  return { fit: 'unknown-backbone', backbone, evidence, message };
}

/** What the weights tell; undefined if the file names none, or they are unknown. */
function fitOfWeights(
  { metadata }: TokenFileFacts,
  { name, weightsFingerprint }: ModelFacts,
  { file, backbone }: { file: string; backbone: string | null },
): TokenFileFit | undefined {
  const trainedFor = metadata?.['backboneFingerprint'];
  if (trainedFor === undefined || weightsFingerprint === undefined) return undefined;
  const found = (fit: TokenFileFit['fit'], message: string): TokenFileFit => ({
    ...{ fit, backbone, evidence: 'weights', message },
  });
  const other = backbone ?? 'a model whose name is not recorded';
  switch (compareWeights(trainedFor, weightsFingerprint)) {
    case 'same':
      return found('fits', `${file} was trained for exactly these weights.`);
    case 'quantised copy':
      return found(
        'fits',
        `${file} was trained for ${other}, whose norms ${name} has: one is a quantisation of the other, or of a copy fine-tuned without them.`,
      );
    case 'same norms':
      return found(
        'unknown-backbone',
        `${file} was trained for ${other}. ${name} has the same norms but other weights, as a fine-tuned copy has: answers may be worse than without it.`,
      );
    case 'other':
      return found(
        'unknown-backbone',
        `${file} was trained for other weights (${other}) than those of ${name}. Its width fits, but answers may be worse than without it.`,
      );
    case 'unknown':
      return undefined;
  }
}

export interface BackboneMatch {
  id: string;
  title: string;
  repository: string | null;
  fit: 'fits' | 'unknown-backbone';
}

/** The models of the catalogue that a file can be used with: the one it was trained for first, then equal widths. */
export function backbonesFor(tokenFile: TokenFileFacts, catalogue: Catalogue): BackboneMatch[] {
  const matches: BackboneMatch[] = [];
  for (const entry of catalogue.models) {
    const hiddenSize = entry.shape?.hiddenSize;
    if (hiddenSize === undefined) continue;
    const { fit } = fitOf(tokenFile, { hiddenSize, name: entry.id }, catalogue);
    if (fit === 'wrong-width') continue;
    matches.push({ id: entry.id, title: entry.title, repository: entry.repository ?? null, fit });
  }
  return matches.sort((a, b) => Number(b.fit === 'fits') - Number(a.fit === 'fits'));
}

/** The embedding files of the catalogue that were trained for a model. */
export function tokenFilesFor(model: ModelFacts, catalogue: Catalogue): TokenFileEntry[] {
  const identity = identityOf(model, catalogue);
  return catalogue.tokenFiles.filter(
    (entry) =>
      entry.hiddenSize === model.hiddenSize && identity.includes(canonicalName(entry.backbone, catalogue)),
  );
}

/** The Hub repository and commit that a folder of the cache belongs to; undefined for any other folder. */
export function repositoryOfFolder(folder: string): { repository: string; commit: string } | undefined {
  const parts = folder.split(/[\\/]/);
  const at = parts.findLastIndex((part) => part === 'snapshots');
  const root = parts[at - 1];
  const commit = parts[at + 1];
  if (at < 1 || commit === undefined || root?.startsWith('models--') !== true) return undefined;
  return { repository: root.slice('models--'.length).split('--').join('/'), commit };
}

function recordedBackbone(
  tokenFile: TokenFileFacts,
  catalogue: Catalogue,
): Pick<TokenFileFit, 'backbone' | 'evidence'> {
  const byHash = catalogue.tokenFiles.find(
    (entry) => entry.sha256 !== undefined && entry.sha256 === tokenFile.sha256,
  );
  if (byHash !== undefined) return { backbone: backboneName(byHash, catalogue), evidence: 'hash' };
  const recorded = tokenFile.metadata?.['backbone'];
  if (recorded !== undefined && recorded !== '') return { backbone: recorded, evidence: 'metadata' };
  if (tokenFile.path !== undefined) {
    const name = basename(tokenFile.path).toLowerCase();
    const byName = catalogue.tokenFiles.filter(
      (entry) => basename(entry.file).toLowerCase() === name && entry.hiddenSize === tokenFile.hiddenSize,
    );
    // A plain name such as spring-50.pt says nothing; those of the released files name their backbone.
    const [entry] = byName.filter(({ repository }) => repository !== undefined);
    if (entry !== undefined) return { backbone: backboneName(entry, catalogue), evidence: 'file name' };
  }
  return { backbone: null, evidence: 'none' };
}

function backboneName(entry: TokenFileEntry, catalogue: Catalogue): string {
  return findEntry(catalogue, entry.backbone)?.repository ?? entry.backbone;
}

/** The same text for an id, a repository and a folder of the cache that mean the same model. */
function canonicalName(name: string, catalogue: Catalogue): string {
  const cached = repositoryOfFolder(name)?.repository;
  return (findEntry(catalogue, cached ?? name)?.id ?? cached ?? name).toLowerCase();
}

function identityOf(model: ModelFacts, catalogue: Catalogue): string[] {
  const names = [model.name, ...(model.folder === undefined ? [] : [model.folder])];
  const identity = names.map((name) => canonicalName(name, catalogue));
  // A clone of a repository keeps its name: .../Mistral-7B-v0.1, and the built-in model lies in media/demo.
  for (const name of names) {
    const last = basename(name).toLowerCase();
    const entry = catalogue.models.find((candidate) => isFolderOf(candidate, name, last));
    if (entry !== undefined) identity.push(entry.id);
  }
  return identity;
}

function isFolderOf(entry: ModelEntry, folder: string, last: string): boolean {
  if (entry.repository !== undefined) return entry.repository.split('/')[1]?.toLowerCase() === last;
  return entry.folder !== undefined && `${basename(dirname(folder))}/${last}` === entry.folder.toLowerCase();
}
