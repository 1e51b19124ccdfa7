/** From the options of a comparison to merged adapters: what the engine and the command line use. */
import { join } from 'node:path';
import { mergeAdaptersCat } from '../checkpoint/lora.ts';
import { readJsonText } from '../checkpoint/textFile.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { Decoder } from '../decoder/decoder.ts';
import type { PragOptions } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import { AdapterStore, defaultStoreFolder } from './adapterStore.ts';
import { parseAugmentedData } from './augmentedData.ts';
import { generatingAugmenter, preparedAugmenter } from './augmenter.ts';
import { PassageEncoder, type EncodeProgress, type EncoderModel } from './encode.ts';
import { EndpointGenerator } from './endpoint.ts';
import { fewShotText } from './fewShot.ts';
import { LocalGenerator, type TextGenerator } from './generators.ts';
import { makeRecipe } from './recipe.ts';
import { unrelatedPassages } from './unrelatedPassages.ts';

/** The parts of an open decoder that encoding needs. */
export function encoderModel(decoder: Decoder, name: string): EncoderModel {
  const { checkpoint, tokenizer, embeddings } = decoder;
  return { checkpoint, tokenizer, embeddings, name };
}

/**
 * The model that augments: an endpoint if one is given, else the local model.
 * @param decoder may be left out with an endpoint
 */
export function chooseGenerator(
  decoder: Decoder | undefined,
  model: string,
  endpoint: PragOptions['endpoint'],
): TextGenerator {
  if (endpoint) return new EndpointGenerator(endpoint);
  if (!decoder) throw new Error('Without an endpoint a decoder writes.');
  return new LocalGenerator(decoder, model);
}

/**
 * An encoder as the options say.
 * @param model the model's name, for the records of its adapters
 * @param fewShot text of the examples, if the adapters are for the chain-of-thought prompt
 * @throws UserError for files that cannot be used
 */
export async function openPassageEncoder(
  decoder: Decoder,
  model: string,
  options: PragOptions,
  fewShot?: string,
): Promise<PassageEncoder> {
  const folder = options.storeFolder ?? defaultStoreFolder();
  const prepared = await readAugmentedFile(options.augmentedFile);
  // who gives a file has made what can be made: a local model would try again in vain, passage after passage
  const generating =
    options.augmentedFile === undefined || options.endpoint
      ? generatingAugmenter(chooseGenerator(decoder, model, options.endpoint), {
          cacheFolder: join(folder, 'augmentations'),
        })
      : undefined;
  const augmenter = preparedAugmenter([...prepared, { augmented: [...unrelatedPassages] }], generating);
  return PassageEncoder.open(encoderModel(decoder, model), {
    store: new AdapterStore(folder, options.storeBytes),
    augmenter: options.onlyStored
      ? { keyOf: (passage) => augmenter.keyOf(passage), augment: () => Promise.resolve(undefined) }
      : augmenter,
    recipe: makeRecipe({ ...options.recipe, fewShot }),
    startFolder: options.startFolder,
  });
}

/** The few-shot text of the options' file; undefined without one. @throws UserError */
export async function readFewShotFile(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : fewShotText(await readJsonText(file), file);
}

/** Passes the encoder's progress on; returns the adapters of the passages that could be encoded, merged. */
export async function* mergedAdapter(
  encoder: PassageEncoder,
  passages: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<EncodeProgress, LoraAdapter> {
  const adapters: LoraAdapter[] = [];
  for await (const progress of encoder.encode(passages, signal)) {
    if (progress.type === 'encoded') adapters.push(progress.adapter);
    yield progress;
  }
  if (adapters.length === 0) {
    throw new UserError(
      passages.length === 0
        ? 'Parametric RAG needs passages: there are none to encode.'
        : 'None of the passages could be encoded, because the model gave no usable questions about them. Let a ' +
            'larger model write the augmentation (an OpenAI-compatible endpoint), or give a file of augmented data.',
    );
  }
  return mergeAdapters(adapters);
}

/** Several adapters as one, each with weight 1, as the authors merge them; one alone stays as it is. */
export function mergeAdapters(adapters: readonly LoraAdapter[]): LoraAdapter {
  const [first] = adapters;
  if (adapters.length === 1) return first!;
  return mergeAdaptersCat(
    adapters,
    adapters.map(() => 1),
  );
}

/** One line of progress for people. */
export function describeProgress(progress: EncodeProgress): string {
  const passage = `passage ${progress.index + 1} of ${progress.total}`;
  if (progress.type === 'augmenting') return `Augmenting ${passage}`;
  if (progress.type === 'step') return `Encoding ${passage}: step ${progress.step} of ${progress.steps}`;
  if (progress.type === 'failed') return `Left out ${passage}: ${progress.reason}`;
  return `Encoded ${passage}`;
}

async function readAugmentedFile(file: string | undefined): Promise<ReturnType<typeof parseAugmentedData>> {
  return file === undefined ? [] : parseAugmentedData(await readJsonText(file), file);
}
