import assert from 'node:assert/strict';
import {
  describeChoices,
  ggufChoices,
  isGgufName,
  matchingGgufs,
  quantizationInName,
  recommendedGguf,
  tagOf,
} from '../../../src/hub/ggufNames.ts';

const named = (...paths: string[]): { path: string; size: number }[] =>
  paths.map((path, index) => ({ path, size: (index + 1) * 1e9 }));

describe('names of GGUF files', () => {
  it('the quantisation', () => {
    const cases: Record<string, string | null> = {
      'gemma-3-270m-it-Q8_0.gguf': 'Q8_0',
      'SmolLM2-135M-Instruct.Q4_1.gguf': 'Q4_1',
      'smollm2-360m-instruct-q4_k_m.gguf': 'Q4_K_M',
      'Qwen3-0.6B-UD-Q4_K_XL.gguf': 'UD-Q4_K_XL',
      'Phi-3-mini-4k-instruct-q4.gguf': 'Q4',
      'Phi-3-mini-4k-instruct-fp16.gguf': 'F16',
      'Llama-3.2-1B-IQ4_XS.gguf': 'IQ4_XS',
      'Qwen3-4B-Q5_K_M-00001-of-00002.gguf': 'Q5_K_M',
      'BF16/model-00001-of-00003.gguf': 'BF16',
      'gpt-oss-20b-mxfp4.gguf': 'MXFP4',
      'google_gemma-3-1b-it-qat-Q4_0.gguf': 'Q4_0',
      'Qwen3-0.6B.gguf': null,
      'model.gguf': null,
    };
    for (const [path, expected] of Object.entries(cases))
      assert.equal(quantizationInName(path), expected, path);
  });

  it('vision parts, statistics and other files are no models', () => {
    for (const name of ['mmproj-model-f16.gguf', 'gemma-3-4b-it.mmproj-Q8_0.gguf', 'imatrix.gguf', 'a.bin']) {
      assert(!isGgufName(name), name);
    }
    assert(isGgufName('x/Model.GGUF'));
  });

  it('parts of a split file are one model, and missing ones are known', () => {
    const [whole, split, cut] = ggufChoices(
      named(
        'a-Q8_0.gguf',
        'b-Q4_K_M-00002-of-00002.gguf',
        'b-Q4_K_M-00001-of-00002.gguf',
        'c-00003-of-00004.gguf',
      ),
    );
    assert.deepEqual([whole?.path, whole?.missingParts], ['a-Q8_0.gguf', []]);
    assert.equal(split?.path, 'b-Q4_K_M-00001-of-00002.gguf');
    assert.deepEqual(
      split.files.map(({ path }) => path),
      ['b-Q4_K_M-00001-of-00002.gguf', 'b-Q4_K_M-00002-of-00002.gguf'],
    );
    assert.deepEqual(
      [split.missingParts, cut?.path, cut?.missingParts],
      [[], 'c-00003-of-00004.gguf', [1, 2, 4]],
    );
    // A name that claims a hundred thousand parts costs nothing.
    assert.deepEqual(ggufChoices(named('x-00001-of-99999.gguf'))[0]?.missingParts, []);
    assert.equal(ggufChoices(named('x-00005-of-00002.gguf')).length, 1);
  });

  it('tags: the quantisation, or the path where two have one', () => {
    const choices = ggufChoices(named('m-Q4_K_M.gguf', 'm-Q8_0.gguf', 'n-Q8_0.gguf', 'plain.gguf'));
    assert.deepEqual(
      choices.map((choice) => tagOf(choice, choices)),
      ['Q4_K_M', 'm-Q8_0', 'n-Q8_0', 'plain'],
    );
    const found = (tag: string): string[] => matchingGgufs(choices, tag).map(({ path }) => path);
    assert.deepEqual(found('q4_k_m'), ['m-Q4_K_M.gguf']);
    assert.deepEqual(found('M-q8_0'), ['m-Q8_0.gguf']);
    assert.deepEqual(found('n-Q8_0.gguf'), ['n-Q8_0.gguf']);
    assert.deepEqual(found('Q8_0'), ['m-Q8_0.gguf', 'n-Q8_0.gguf']);
    assert.deepEqual(found('Q4_K'), []);
    // Every tag names its own.
    for (const choice of choices) assert.deepEqual(matchingGgufs(choices, tagOf(choice, choices)), [choice]);
  });

  it('the largest that fits is recommended', () => {
    const choices = ggufChoices(
      named('m-Q2_K.gguf', 'm-Q4_K_M.gguf', 'm-Q8_0.gguf', 'm-F16-00001-of-00002.gguf'),
    );
    const machine = { available: 4e9, total: 8e9 };
    assert.equal(recommendedGguf(choices, machine)?.quantization, 'Q4_K_M');
    assert.equal(recommendedGguf(choices, { available: 1e8, total: 8e9 }), undefined);
    assert.deepEqual(describeChoices('a/b', choices, machine).slice(1, 3), [
      'a/b:Q2_K, 1.0 GB',
      'a/b:Q4_K_M, 2.0 GB (recommended)',
    ]);
  });
});
