import type { Command } from 'commander';
import { registerAsk } from './ask.ts';
import { registerAugment } from './augment.ts';
import { registerEncode } from './encode.ts';
import { registerEval } from './eval.ts';
import { registerGenerate } from './generate.ts';
import { registerIndex } from './index-workspace.ts';
import { registerScore } from './score.ts';
import { registerSearch } from './search.ts';
import { registerTrain } from './train.ts';
import { registerTokenize } from './tokenize.ts';
import { registerInspect } from './inspect.ts';
import { registerModels } from './models.ts';
import { registerDownload } from './download.ts';
import { registerRemove } from './remove.ts';

/** Adds one command to the program. */
export type RegisterCommand = (program: Command) => void;

export const commands: readonly RegisterCommand[] = [
  registerAsk,
  registerGenerate,
  registerScore,
  registerEval,
  registerTrain,
  registerAugment,
  registerEncode,
  registerIndex,
  registerSearch,
  registerInspect,
  registerTokenize,
  registerModels,
  registerDownload,
  registerRemove,
];
