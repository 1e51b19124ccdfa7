/** Log probabilities of a text, against the logits of one pass over it, and the commands that print them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CancelledError } from '../../src/protocol/errors.ts';
import { readVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { Decoder } from '../../src/decoder/decoder.ts';
import type { Prompt } from '../../src/decoder/types.ts';
import { tokenizeText } from '../../src/spring/tokenizePrompt.ts';
import { allLogits } from '../support/decoding.ts';
import { demoFolder } from '../support/oracle.ts';

const text = 'Dornor speaks the AMQP protocol. It listens on port 8080 and keeps its data for nine days. ';

function spring(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...args], {
    cwd: resolve(import.meta.dirname, '../..'),
    encoding: 'utf8',
  });
}

describe('score', () => {
  let decoder: Decoder;
  let folder: string;
  before(async () => {
    decoder = await Decoder.open(demoFolder, { device: 'cpu', precision: 'f32' });
    folder = mkdtempSync(join(tmpdir(), 'spring-score-'));
  });
  after(async () => {
    await decoder.dispose();
    rmSync(folder, { recursive: true });
  });

  it('gives the log softmax of every position, also of texts of several passes', async () => {
    const prompt: Prompt = { parts: [{ tokenIds: decoder.tokenizer.encode(text.repeat(6)) }] };
    const ids = prompt.parts.flatMap((part) => ('tokenIds' in part ? part.tokenIds : []));
    assert.ok(ids.length > 128, `one pass would do for ${ids.length} tokens`);
    const scores = await decoder.score(prompt);
    const logits = await allLogits(decoder, prompt);
    const { vocabSize } = decoder.checkpoint.config;
    assert.equal(scores.length, ids.length - 1);
    scores.forEach((score, position) => {
      const row = logits.subarray(position * vocabSize, (position + 1) * vocabSize);
      const largest = row.reduce((a, b) => Math.max(a, b));
      const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
      const expected = row[ids[position + 1]!]! - largest - Math.log(sum);
      assert.ok(Math.abs(score! - expected) < 1e-4, `position ${position}: ${score}, expected ${expected}`);
    });
  });

  it('does not score virtual tokens, and what follows them depends on them', async () => {
    const rows = await readVirtualTokens(join(demoFolder, 'spring-50.pt'), { hiddenSize: 128 });
    const parts = tokenizeText(decoder.tokenizer, 'One [ref1][ref2] two three', rows);
    const scores = await decoder.score({ parts });
    const first = parts[0] as { tokenIds: number[] };
    assert.equal(scores.filter((score) => score === null).length, 2);
    assert.equal(scores[first.tokenIds.length - 1], null);
    const without = await decoder.score({
      parts: parts.filter((part) => 'tokenIds' in part),
    });
    assert.notEqual(scores.at(-1), without.at(-1));
  });

  it('refuses what is longer than the context and can be cancelled', async () => {
    const long: Prompt = { parts: [{ tokenIds: new Array<number>(600).fill(5) }] };
    await assert.rejects(decoder.score(long), /600 tokens, but the model's context is 512/);
    const short: Prompt = { parts: [{ tokenIds: [5, 6, 7] }] };
    await assert.rejects(decoder.score(short, AbortSignal.abort()), CancelledError);
    assert.equal((await decoder.score(short)).length, 2);
  });

  it('is a command', () => {
    const file = join(folder, 'text.txt');
    writeFileSync(file, text);
    const { status, stdout } = spring('score', '--text-file', file, '--json');
    assert.equal(status, 0);
    const result = JSON.parse(stdout) as {
      model: string;
      precision: string;
      tokenIds: number[];
      logProbs: number[];
      meanLogProb: number;
      perplexity: number;
    };
    assert.equal(result.model, 'demo');
    assert.equal(result.precision, 'f32');
    assert.equal(result.logProbs.length, result.tokenIds.length - 1);
    const mean = result.logProbs.reduce((a, b) => a + b, 0) / result.logProbs.length;
    assert.ok(Math.abs(mean - result.meanLogProb) < 1e-9);
    assert.ok(Math.abs(Math.exp(-mean) - result.perplexity) < 1e-6);

    writeFileSync(file, '');
    const empty = spring('score', '--text-file', file);
    assert.equal(empty.status, 1);
    assert.match(empty.stderr, /at least two are needed/);
    assert.equal(spring('score', '--text-file', join(folder, 'none.txt')).status, 1);
  });

  it('generate --top-logprobs lists the likeliest tokens of every place', () => {
    const args = ['--prompt', text, '--max-new-tokens', '3', '--ignore-eos', '--top-logprobs', '5', '--json'];
    const { stdout } = spring('generate', ...args);
    const { tokenIds, topLogprobs } = JSON.parse(stdout) as {
      tokenIds: number[];
      topLogprobs: { id: number; text: string; logprob: number }[][];
    };
    assert.deepEqual(
      topLogprobs.map((place) => place.length),
      [5, 5, 5],
    );
    topLogprobs.forEach((place, index) => {
      assert.equal(place[0]!.id, tokenIds[index], 'greedy takes the likeliest');
      place.slice(1).forEach((token, rank) => assert.ok(token.logprob <= place[rank]!.logprob));
    });
  });
});
