/** All commands, in the order of the help. */
import type { RegisterCommand } from '../command.ts';
import { registerAsk } from './ask.ts';
import { registerAugment } from './augment.ts';
import { registerCompare } from './compare.ts';
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
import { registerTrecEval } from './trec-eval.ts';
import { registerDownload } from './download.ts';
import { registerRemove } from './remove.ts';

export const commands: readonly RegisterCommand[] = [
  registerAsk,
  registerGenerate,
  registerScore,
  registerEval,
  registerCompare,
  registerTrecEval,
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
