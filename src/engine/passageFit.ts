/**
 * Which of a question's passages fit into the model's context: the same in every column, since columns are compared. Known
 * before a run (the panel's budget) and kept to in it.
 */
import { openCheckpoint } from '../checkpoint/checkpoint.ts';
import { openTokenizer, type Tokenizer } from '../checkpoint/tokenizer.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import { promptRoom } from '../decoder/context.ts';
import { resolveModel } from '../hub/resolve.ts';
import { planVariant } from '../methods/plan.ts';
import { tokenFileFacts, type TokenRows } from '../methods/prepare.ts';
import { tokenizePlanned } from '../methods/tokenize.ts';
import { readFewShotFile } from '../prag/passageAdapters.ts';
import type { ComparisonRequest } from '../protocol/comparison.ts';
import type { FitRequest, PassageFit } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { methodOf, variantFrom, type VariantId } from '../protocol/methods.ts';
import type { Passage } from '../protocol/passages.ts';
import type { PromptTemplates } from '../spring/prompts.ts';
import { whileOpening } from './openFiles.ts';

export interface FitModel {
  tokenizer: Tokenizer;
  config: ModelConfig;
  templates?: PromptTemplates | undefined;
  fewShot?: string | undefined;
  /** The rows of a variant's embedding file, if they are known: a file may ask for another form of the prompt. */
  rowsOf?: (id: VariantId) => TokenRows | undefined;
}

/**
 * What the longest prompt takes, and which passages have to be left out so that every prompt and its answer fit: of those
 * that were retrieved the last, one after the other, then of those that the user added.
 * @throws UserError for an empty question
 */
export function fitPassages(
  {
    question,
    passages,
    variants,
    settings,
  }: Pick<ComparisonRequest, 'question' | 'passages' | 'variants' | 'settings'>,
  { config, ...model }: FitModel,
): PassageFit {
  const room = promptRoom(config, settings.maxNewTokens);
  const showing = variants.filter((id) => methodOf(variantFrom(id)).showsPassages);
  const longest = (kept: readonly Passage[]): number =>
    Math.max(0, ...showing.map((id) => promptTokens(id, { ...model, question, passages: kept })));
  let kept = passages.map((passage, index) => ({ passage, index }));
  const tokens = longest(passages);
  let now = tokens;
  while (now > room && kept.length > 0) {
    const last = kept.findLast(({ passage }) => passage.score !== undefined) ?? kept.at(-1)!;
    kept = kept.filter((other) => other !== last);
    now = longest(kept.map(({ passage }) => passage));
  }
  const leftOut = passages.flatMap((_, index) =>
    kept.some((other) => other.index === index) ? [] : [index],
  );
  return { tokens, room, leftOut };
}

/**
 * Tokens of a variant's prompt; none if it cannot be asked. Adapters and the values of virtual tokens do not count.
 * @throws UserError for an empty question
 */
function promptTokens(
  id: VariantId,
  {
    tokenizer,
    rowsOf,
    ...input
  }: Omit<FitModel, 'config'> & Pick<ComparisonRequest, 'question'> & { passages: readonly Passage[] },
): number {
  const variant = variantFrom(id);
  const { k = 0 } = variant;
  const known = rowsOf?.(id);
  const rows = known && known.count >= k ? known : { data: new Float32Array(k), count: k };
  const { prompt } = planVariant(variant, { ...input, tokens: tokenFileFacts(rows) });
  try {
    const { parts } = tokenizePlanned(tokenizer, prompt, rows);
    return parts.reduce(
      (sum, part) => sum + ('tokenIds' in part ? part.tokenIds.length : part.rows.count),
      0,
    );
  } catch (error) {
    if (error instanceof UserError) return 0;
    throw error;
  }
}

/** Answers before a model is loaded; the tokenizer that was used last is kept. */
export class PassageFitter {
  #last: { folder: string; model: Promise<FitModel> } | undefined;

  /** @throws UserError if the model cannot be read, or the question is empty */
  async fit(request: FitRequest): Promise<PassageFit> {
    const folder = await resolveModel(request.model);
    if (this.#last?.folder !== folder) {
      const model = whileOpening(folder, async () => {
        const { config } = await openCheckpoint(folder);
        return { config, tokenizer: await openTokenizer(folder, config.vocabSize) };
      });
      this.#last = { folder, model };
      model.catch(() => (this.#last = undefined));
    }
    const fewShot = await readFewShotFile(request.prag?.fewShotFile);
    return fitPassages(request, { ...(await this.#last.model), fewShot });
  }
}
