import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import { logSumExp, Sampler } from '../../src/decoder/sampling.ts';
import type { DecoderEvent, GenerationSettings, Prompt } from '../../src/decoder/types.ts';
import { buildVariant, type TokenRows } from '../../src/methods/prepare.ts';
import { allLogits } from '../support/decoding.ts';
import { demoFolder } from '../support/oracle.ts';

const question = 'Which port does Dornor use?';
const passages = [{ text: 'Dornor listens on port 5151.' }, { text: 'Garrus keeps its logs for 12 days.' }];
const greedy: GenerationSettings = { maxNewTokens: 12, ignoreEos: true, alternatives: 3 };

interface Token {
  tokenId: number;
  logProbability: number;
}

/** The definition: both prompts from their beginning for every token, nothing shared. */
async function byDefinition(
  decoder: Decoder,
  { parts, against }: Prompt,
  settings: GenerationSettings,
  stream: number,
): Promise<Token[]> {
  const promptIds = parts.flatMap((part) => ('tokenIds' in part ? part.tokenIds : []));
  const sampler = new Sampler(settings, stream, promptIds);
  const tokens: Token[] = [];
  while (tokens.length < settings.maxNewTokens) {
    const answered = { tokenIds: tokens.map(({ tokenId }) => tokenId) };
    const logits = async (prompt: Prompt['parts']): Promise<Float32Array> => {
      const all = answered.tokenIds.length > 0 ? [...prompt, answered] : prompt;
      const length = all.reduce(
        (sum, part) => sum + ('tokenIds' in part ? part.tokenIds.length : part.rows.count),
        0,
      );
      return allLogits(decoder, { parts: all }, [length - 1]);
    };
    const [on, off] = [await logits(parts), await logits(against!.parts)];
    const a = against!.strength;
    const both = on.map((logit, id) => (1 + a) * logit - a * off[id]!);
    const { tokenId } = sampler.next(both);
    tokens.push({ tokenId, logProbability: both[tokenId]! - logSumExp(both) });
  }
  return tokens;
}

describe('context-aware decoding on the demo model', () => {
  let decoder: Decoder;
  let virtualTokens: TokenRows;
  before(async () => {
    decoder = await Decoder.open(demoFolder, { device: 'cpu', precision: 'f32' });
    virtualTokens = await readVirtualTokens(join(demoFolder, 'spring-50.pt'));
  });
  after(() => decoder.dispose());

  const prompt = (id: string): Prompt => {
    const { tokenizer } = decoder;
    return buildVariant(id, { question, passages, tokenizer, virtualTokens }).decoderPrompt;
  };
  const compare = async (ids: readonly string[], settings: GenerationSettings): Promise<Token[][]> => {
    const tokens: Token[][] = ids.map(() => []);
    const events: AsyncGenerator<DecoderEvent> = decoder.compare(ids.map(prompt), settings);
    for await (const event of events) if (event.type === 'token') tokens[event.index]!.push(event.token);
    return tokens;
  };
  const idsOf = (tokens: readonly Token[]): number[] => tokens.map(({ tokenId }) => tokenId);
  const assertEqual = (found: readonly Token[], expected: readonly Token[]): void => {
    assert.deepEqual(idsOf(found), idsOf(expected));
    for (const [index, { logProbability }] of found.entries())
      assert.ok(Math.abs(logProbability - expected[index]!.logProbability) < 1e-3, `token ${index}`);
  };

  it('chooses by (1 + a) x logits with the passages - a x logits without, greedy', async () => {
    for (const id of ['cad', 'cad:0.3', 'cad:2']) {
      const [found] = await compare([id], greedy);
      assertEqual(found!, await byDefinition(decoder, prompt(id), greedy, 0));
    }
    const answers = await compare(['baseline', 'no-rag', 'cad:2'], greedy);
    const [baseline, noRag, cad] = answers.map(idsOf);
    assert.notDeepEqual(cad, baseline);
    assert.notDeepEqual(cad, noRag);
  });

  it('samples from their softmax, with penalty and seed', async () => {
    const settings = { ...greedy, temperature: 0.8, topP: 0.95, repetitionPenalty: 1.1, seed: 7 };
    const [, found] = await compare(['baseline', 'cad'], settings);
    assertEqual(found!, await byDefinition(decoder, prompt('cad'), settings, 1));
  });

  it('is the baseline at strength 0', async () => {
    const [baseline, cad] = await compare(['baseline', 'cad:0'], greedy);
    assertEqual(cad!, baseline!);
  });

  it('answers beside all others as alone, and they as without it', async () => {
    const others = ['no-rag', 'baseline', 'prompt', 'spring:10'];
    const alone = new Map<string, Token[]>();
    for (const id of [...others, 'cad', 'cad:0.3']) alone.set(id, (await compare([id], greedy))[0]!);
    for (const ids of [
      ['cad', ...others, 'cad:0.3'],
      [...others.toReversed(), 'cad:0.3', 'cad'],
    ]) {
      const found = await compare(ids, greedy);
      for (const [index, id] of ids.entries()) assert.deepEqual(found[index], alone.get(id), 'the same bits');
    }
  });

  it('reads passages once for all, and runs both prompts in the passes of the others', async () => {
    const fresh = await Decoder.open(demoFolder, { device: 'cpu', precision: 'f32' });
    const { session } = fresh;
    const forward = session.forward.bind(session);
    const passes: number[] = [];
    session.forward = (runs) => {
      passes.push(runs.length);
      return forward(runs);
    };
    const prompts = ['baseline', 'cad', 'no-rag'].map(prompt);
    const events = fresh.compare(prompts, { maxNewTokens: 5, ignoreEos: true });
    const shared: number[] = [];
    for await (const event of events)
      if (event.type === 'done') shared[event.index] = event.generation.sharedTokens;
    assert.deepEqual(passes.slice(-4), [4, 4, 4, 4], 'three answers, four sequences, one pass a token');
    const [{ tokenIds }] = prompts[0]!.parts as [{ tokenIds: number[] }];
    assert.ok(shared[1]! >= tokenIds.length - 1, 'the prompt with the passages is the baseline’s');
    await fresh.dispose();
  });
});
