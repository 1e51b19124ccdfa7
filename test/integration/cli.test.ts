import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { float32Bytes, writeGguf } from '../support/ggufWriter.ts';
import { demoFolder, oracleCheckpoints, oracleFolder, readGolden } from '../support/oracle.ts';

const root = resolve(import.meta.dirname, '../..');

function spring(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...args],
    { cwd: root, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' } },
  );
  return { status, stdout, stderr };
}

/** As the oracle was made: 24 greedy tokens in float32. */
const oracleOptions = '--max-new-tokens 24 --ignore-eos --device cpu --precision f32 --json'.split(' ');

describe('command line', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'spring-cli-'));
    writeFileSync(
      join(folder, 'passages.json'),
      JSON.stringify([
        'Dornor speaks the AMQP protocol.',
        { text: 'Garrus speaks HTTP.', path: 'g.md', startLine: 2, endLine: 3 },
      ]),
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  describe('tokenize', () => {
    it('prints ids and pieces, BOS as the tokenizer adds it, special tokens recognised', () => {
      const { status, stdout } = spring('tokenize', 'Question:</s>é', '--json');
      assert.equal(status, 0);
      assert.deepEqual(JSON.parse(stdout), {
        model: 'demo',
        ids: [0, 298, 62, 1, 199, 173],
        pieces: ['<s>', 'Question', ':', '</s>', '<0xC3>', '<0xA9>'],
      });
    });

    it('prints lines for people', () => {
      const { status, stdout } = spring('tokenize', 'a b');
      assert.equal(status, 0);
      assert.match(stdout, /^ *\d+ {2}".*"\n/);
      assert.equal(spring('tokenize', 'a', '--model', join(folder, 'nowhere')).status, 1);
      assert.equal(spring('tokenize').status, 2);
    });
  });

  describe('ask', () => {
    const question = 'Which protocol does Dornor speak?';

    it('prints the contract as JSON', () => {
      const { status, stdout } = spring(
        'ask',
        question,
        '--passages',
        join(folder, 'passages.json'),
        '-k',
        '10',
        '--variants',
        'no-rag,baseline,prompt,spring:10',
        '--json',
      );
      assert.equal(status, 0);
      const result = JSON.parse(stdout) as {
        question: string;
        passages: object[];
        variants: {
          id: string;
          label: string;
          k: number;
          text: string;
          tokenIds: number[];
          promptTokens: number;
          stopReason: string;
        }[];
      };
      assert.equal(result.question, question);
      assert.deepEqual(result.passages[1], {
        index: 2,
        text: 'Garrus speaks HTTP.',
        path: 'g.md',
        startLine: 2,
        endLine: 3,
      });
      assert.deepEqual(
        result.variants.map(({ id, k }) => [id, k]),
        [
          ['no-rag', 0],
          ['baseline', 0],
          ['prompt', 0],
          ['spring:10', 10],
        ],
      );
      const [noRag, baseline, , withTokens] = result.variants;
      assert.equal(withTokens!.text.trim(), 'AMQP');
      assert.equal(withTokens!.promptTokens, baseline!.promptTokens + 10);
      assert.ok(noRag!.promptTokens < baseline!.promptTokens);
    });

    it('prints passages and both answers for people, retrieved from a workspace', () => {
      const { status, stdout } = spring('ask', question, '--workspace', 'samples/workspace');
      assert.equal(status, 0);
      assert.match(stdout, /\[1\] dornor\.md:\d+-\d+/);
      assert.match(stdout, /Baseline +SPRING k=50/);
    });

    const refused: [string, string[], RegExp][] = [
      ['an empty question', [' '], /question is empty/],
      ['no source of passages', ['Q?'], /Where are the passages/],
      ['a missing file', ['Q?', '--passages', 'nowhere.json'], /nowhere\.json is missing/],
      [
        'an unknown variant',
        ['Q?', '--passages', '@passages', '--variants', 'magic'],
        /"magic" is no variant/,
      ],
      [
        'more tokens than there are',
        ['Q?', '--passages', '@passages', '-k', '51'],
        /51 virtual tokens.*has 50/,
      ],
      ['an unknown model', ['Q?', '--passages', '@passages', '--model', 'gpt-17'], /no model "gpt-17"/],
    ];
    for (const [what, args, message] of refused) {
      it(`refuses ${what}`, () => {
        const given = args.map((arg) => (arg === '@passages' ? join(folder, 'passages.json') : arg));
        const { status, stderr } = spring('ask', ...given);
        assert.match(stderr, message);
        assert.doesNotMatch(stderr, /\n {4}at /);
        assert.equal(status, 1);
      });
    }

    for (const [what, content, message] of [
      ['not JSON', '[', /not valid JSON/],
      ['no array', '{}', /JSON array/],
      ['a number', '[42]', /passage 1 must be text/],
      ['no text', '["a", {"path": "b"}]', /passage 2 has no text/],
      ['a line 0', '[{"text": "a", "startLine": 0}]', /whole numbers from 1/],
    ] as const) {
      it(`refuses a passages file that is ${what}`, () => {
        const file = join(folder, 'bad.json');
        writeFileSync(file, content);
        const { status, stderr } = spring('ask', 'Q?', '--passages', file);
        assert.match(stderr, message);
        assert.equal(status, 1);
      });
    }
  });

  describe('usage', () => {
    it('errors of usage end with 2, help with 0', () => {
      assert.equal(spring('ask').status, 2);
      assert.equal(spring('generate', '--device', 'abacus').status, 2);
      assert.equal(spring('nonsense').status, 2);
      assert.equal(spring('ask', '--help').status, 0);
    });
  });

  describe('a broken checkpoint', () => {
    const breakages: [string, (copy: string) => void, RegExp][] = [
      ['no config.json', (copy) => unlinkSync(join(copy, 'config.json')), /config\.json/],
      ['no tokenizer', (copy) => unlinkSync(join(copy, 'tokenizer.json')), /no tokenizer\.json/],
      ['no weights', (copy) => unlinkSync(join(copy, 'model.safetensors')), /safetensors/],
      [
        'half a file',
        (copy) => truncateSync(join(copy, 'model.safetensors'), 1_000_000),
        /model\.safetensors.*(bytes|end|download)/s,
      ],
      [
        'another shape',
        (copy) => edit(copy, 'config.json', '"intermediate_size": 352', '"intermediate_size": 351'),
        /\[352, 128\]/,
      ],
      [
        'a smaller vocabulary',
        (copy) => edit(copy, 'config.json', '"vocab_size": 1536', '"vocab_size": 1500'),
        /1500|1536/,
      ],
      [
        'another architecture',
        (copy) => edit(copy, 'config.json', 'LlamaForCausalLM', 'BertModel'),
        /BertModel.*LlamaForCausalLM/s,
      ],
      ['NaN weights', (copy) => poison(join(copy, 'model.safetensors')), /not finite/],
    ];
    for (const [what, breakIt, message] of breakages) {
      it(`${what}: one clear message`, () => {
        const copy = join(folder, what.replaceAll(/\W/g, '-'));
        cpSync(demoFolder, copy, { recursive: true });
        breakIt(copy);
        const { status, stdout, stderr } = spring(
          'generate',
          '--model',
          copy,
          '--prompt',
          'Question: Why?\nAnswer:',
        );
        assert.match(stderr, message);
        assert.doesNotMatch(stderr, /Unexpected error/);
        assert.equal(stdout, '');
        assert.equal(status, 1);
      });
    }
  });

  describe('generate against the oracle', () => {
    for (const checkpoint of oracleCheckpoints()) {
      const golden = readGolden(checkpoint.name);
      const asText = (ids: readonly number[]): string => ids.map((id) => `<t${id}>`).join('');

      it(`${checkpoint.name}: prompt text with [ref] names`, () => {
        const names = Array.from({ length: 10 }, (_, index) => `[ref${index + 1}]`).join('');
        const prompt = asText(golden.prefix_ids) + names + asText(golden.suffix_ids);
        const { status, stdout, stderr } = spring(
          'generate',
          '--model',
          checkpoint.folder,
          '--prompt',
          prompt,
          '--tokens',
          checkpoint.virtual_tokens,
          ...oracleOptions,
        );
        assert.equal(status, 0, stderr);
        const result = JSON.parse(stdout) as { tokenIds: number[]; promptTokens: number };
        assert.equal(result.promptTokens, golden.prefix_ids.length + 10 + golden.suffix_ids.length);
        assert.deepEqual(result.tokenIds, golden.scenarios['vt10']!.greedy_ids);
      });

      it(`${checkpoint.name}: merged adapters`, () => {
        const loras = [0, 1, 2].flatMap((number) => [
          '--lora',
          join(checkpoint.adapters, `adapter${number}`),
        ]);
        const { status, stdout, stderr } = spring(
          'generate',
          '--model',
          checkpoint.folder,
          '--prompt',
          asText(golden.prag.prompt_ids),
          ...loras,
          ...oracleOptions,
        );
        assert.equal(status, 0, stderr);
        assert.deepEqual(
          (JSON.parse(stdout) as { tokenIds: number[] }).tokenIds,
          golden.prag.greedy['merged_prag']!.greedy_ids,
        );
      });
    }

    it('inspect: a GGUF file, whatever its name, and one of its tensors', () => {
      const path = join(folder, 'sha256-0123');
      writeGguf(path, {
        metadata: [
          ['general.architecture', ['string', 'llama']],
          ['general.name', ['string', 'a\u001b[31mb']],
          ['llama.context_length', ['uint32', 128]],
        ],
        tensors: [{ name: 'w', dimensions: [3, 2], data: float32Bytes([1, 2, 3, 4, 5, 6]) }],
      });
      const { stdout } = spring('inspect', path, '--json');
      const facts = JSON.parse(stdout) as Record<string, unknown>;
      assert.equal(facts['kind'], 'gguf');
      assert.equal(facts['architecture'], 'llama');
      assert.equal(facts['quantization'], 'F32');
      assert.equal(facts['parameters'], 6);
      assert.equal(facts['contextLength'], 128);
      assert.deepEqual(facts['types'], { F32: { tensors: 1, bytes: 24 } });
      assert.match(spring('inspect', path).stdout, /name +a\\x1b\[31mb/);
      assert.deepEqual(JSON.parse(spring('inspect', path, '--tensor', 'w', '--json').stdout), {
        name: 'w',
        type: 'F32',
        shape: [2, 3],
        sha256: createHash('sha256')
          .update(float32Bytes([1, 2, 3, 4, 5, 6]))
          .digest('hex'),
      });
      const { status, stderr } = spring('inspect', path, '--tensor', 'v');
      assert.match(stderr, /has no tensor "v"; it has 1: "w"/);
      assert.equal(status, 1);
    });

    it('inspect: hostile files are refused and run nothing', function () {
      if (oracleCheckpoints().length === 0) this.skip();
      const { status, stderr } = spring('inspect', join(oracleFolder, 'pt/bad-evil-zip.pt'));
      assert.match(stderr, /os\.system/);
      assert.equal(status, 1);
    });
  });
});

function edit(folder: string, name: string, from: string, to: string): void {
  const text = readFileSync(join(folder, name), 'utf8');
  assert.ok(text.includes(from));
  writeFileSync(join(folder, name), text.replace(from, to));
}

/** Fills the last layer's norm (F16) with NaN. */
function poison(file: string): void {
  const bytes = readFileSync(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [start, end] = header['model.norm.weight']!.data_offsets;
  for (let offset = start; offset < end; offset += 2) bytes.writeUInt16LE(0x7e00, 8 + headerLength + offset);
  writeFileSync(file, bytes);
}
