/**
 * The process that trains: virtual tokens, questions about passages, adapters of passages. One job at a time; it is a
 * process of its own so that questions are answered meanwhile.
 */
import { join } from 'node:path';
import { Decoder } from '../decoder/decoder.ts';
import { resolveModel } from '../hub/resolve.ts';
import type { ModelSelection } from '../protocol/comparison.ts';
import type {
  EncodeReport,
  EncodeRequest,
  EncodeResult,
  MadeQuestions,
  MakeQuestionsRequest,
} from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { defaultStoreFolder } from '../prag/adapterStore.ts';
import { augmentPassages } from '../prag/augment.ts';
import type { PassageEncoder } from '../prag/encode.ts';
import {
  chooseGenerator,
  describeProgress,
  openPassageEncoder,
  readFewShotFile,
} from '../prag/passageAdapters.ts';
import { readTrainingData } from '../spring/training/data.ts';
import type { Handlers } from './channel.ts';
import { wantedPassages } from './comparison.ts';
import { messagesRead, reportInBatches } from './eventBatches.ts';
import { whileOpening } from './openFiles.ts';
import { finishRun, trainRun } from './trainingRun.ts';
import { Turns } from './turns.ts';

/** Progress is not reported more often. */
const reportIntervalMs = 100;
/** A model that fails this often from the start will not do better with the next passage. */
const failuresAtStart = 4;
/** Times that a model is asked for the questions of a passage; there are other passages. */
const attemptsPerPassage = 4;

/** The handlers of the role `training`. */
export function trainingRole(): Handlers<'training'> {
  const turns = new Turns();
  return {
    train: ({ folder }, { signal, report }) =>
      turns.take(signal, async () => {
        await reportInBatches(trainRun(folder, signal), report, reportIntervalMs);
        return null;
      }),
    finishTraining: ({ folder }) => turns.take(undefined, async () => ({ path: await finishRun(folder) })),
    inspectTrainingData: async ({ file }) => {
      const { items } = await readTrainingData(file);
      const withPassages = items.filter((item) => item.kind === 'raw' || item.passages.length > 0);
      return { examples: items.length, withPassages: withPassages.length };
    },
    makeQuestions: (request, { signal, report }) =>
      turns.take(signal, async () => {
        for await (const made of makeQuestions(request, signal)) {
          report(made);
          await messagesRead();
        }
        return null;
      }),
    encodePassages: (request, { signal, report }) =>
      turns.take(signal, () =>
        withEncoder(request, signal, (encoder) => encode(encoder, request, signal, report)),
      ),
    settle: () => turns.take(undefined, () => Promise.resolve(null)),
  };
}

async function* makeQuestions(
  { passages, prag, ...selection }: MakeQuestionsRequest,
  signal: AbortSignal,
): AsyncGenerator<MadeQuestions> {
  const decoder = await openDecoder(selection, signal);
  try {
    const generator = chooseGenerator(decoder, selection.model, prag.endpoint);
    const texts = passages.map(({ text }) => text);
    const progress = augmentPassages(texts, generator, {
      cacheFolder: join(prag.storeFolder ?? defaultStoreFolder(), 'augmentations'),
      maximumAttempts: attemptsPerPassage,
      signal,
    });
    let succeeded = false;
    for await (const { index, total, augmented } of progress) {
      const questions = augmented?.questionAnswers ?? [];
      succeeded ||= questions.length > 0;
      yield { index, total, passage: passages[index]!, questions };
      if (!succeeded && index + 1 >= Math.min(failuresAtStart, total)) {
        throw new UserError(
          `${generator.name} wrote no usable questions about the first ${index + 1} passages. Choose a larger ` +
            'instruction-tuned model, set an endpoint (setting springRag.prag.endpoint), or train on a data file.',
        );
      }
    }
  } finally {
    await decoder.dispose();
  }
}

async function encode(
  encoder: PassageEncoder,
  request: EncodeRequest,
  signal: AbortSignal,
  report: (progress: EncodeReport) => void,
): Promise<EncodeResult> {
  const result: EncodeResult = { encoded: 0, fromStore: 0, failed: [] };
  let reportedAt = -Infinity;
  for await (const progress of encoder.encode(wantedPassages(request), signal)) {
    const { type, index, total, passage } = progress;
    if (type === 'failed') result.failed.push({ passage, reason: progress.reason });
    if (type === 'encoded') {
      result.encoded += 1;
      if (progress.fromStore) result.fromStore += 1;
    }
    if (type !== 'step' || performance.now() - reportedAt >= reportIntervalMs) {
      report({ index, total, message: describeProgress(progress) });
      reportedAt = performance.now();
    }
    await messagesRead();
  }
  return result;
}

async function withEncoder<Result>(
  { model, device, precision, prag }: EncodeRequest,
  signal: AbortSignal,
  work: (encoder: PassageEncoder) => Promise<Result>,
): Promise<Result> {
  const decoder = await openDecoder({ model, device, precision }, signal);
  try {
    const fewShot = await readFewShotFile(prag.fewShotFile);
    const encoder = await openPassageEncoder(decoder, model, prag, fewShot);
    try {
      return await work(encoder);
    } finally {
      await encoder.dispose();
    }
  } finally {
    await decoder.dispose();
  }
}

async function openDecoder(
  { model, device, precision }: ModelSelection,
  signal: AbortSignal,
): Promise<Decoder> {
  const folder = await resolveModel(model);
  return whileOpening(folder, () => Decoder.open(folder, { device, precision, signal }));
}
