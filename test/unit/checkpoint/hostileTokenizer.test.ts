/** Tokenizers and templates that were made to hang, to fill the memory or to fail inside a library. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderChat } from '../../../src/checkpoint/chatTemplate.ts';
import { openTokenizer } from '../../../src/checkpoint/tokenizer.ts';
import { withinTime } from '../../../src/checkpoint/withinTime.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { temporaryFolder } from '../../fixtures/checkpoint/tinyCheckpoint.ts';
import { demoFolder } from '../../support/oracle.ts';

type Json = Record<string, unknown>;

describe('hostile tokenizers', function () {
  this.timeout(30_000);
  let folder: string;
  before(() => {
    folder = temporaryFolder();
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json']) {
      cpSync(join(demoFolder, name), join(folder, name));
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  const sound = (): Json => JSON.parse(readFileSync(join(demoFolder, 'tokenizer.json'), 'utf8')) as Json;
  const write = (changes: Json): void =>
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...sound(), ...changes }));
  const refused = async (work: () => unknown, message: RegExp): Promise<void> => {
    const started = performance.now();
    await assert.rejects(Promise.resolve().then(work), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      return true;
    });
    assert.ok(performance.now() - started < 10_000, 'it took too long');
  };
  const splitAt = (Regex: string): Json => ({
    pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
  });

  for (const regex of [String.raw`(\w+\s?)+$`, '(a*)*b']) {
    it(`does not wait for the pattern ${regex}, and works again afterwards`, async () => {
      write(splitAt(regex));
      const tokenizer = await openTokenizer(folder);
      const memory = process.memoryUsage().rss;
      await refused(
        () => tokenizer.encode(`${'a'.repeat(60)}!`),
        /does not come to an end \(stopped after 5/,
      );
      assert.ok(process.memoryUsage().rss - memory < 500e6);
      assert.ok(tokenizer.encode('a').length > 0);
    });
  }

  it('refuses replacements that make a text endless', async () => {
    const doubling = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' };
    const normalizers = Array.from({ length: 40 }, () => doubling);
    write({ normalizer: { type: 'Sequence', normalizers } });
    await refused(() => openTokenizer(folder), /replacements make a text 1099511627776 times longer/);
    const nested = {
      type: 'Sequence',
      normalizers: [{ type: 'Sequence', normalizers: normalizers.slice(0, 8) }],
    };
    write({ normalizer: nested });
    await refused(() => openTokenizer(folder), /256 times longer; up to 64/);
    write({ normalizer: { type: 'Sequence', normalizers: normalizers.slice(0, 6) } });
    assert.ok((await openTokenizer(folder)).encode('a').length > 0);
  });

  it('names the field that is of another form', async () => {
    const { model } = sound() as { model: Json };
    let deep: Json = { type: 'NFC' };
    for (let depth = 0; depth < 2000; depth++) deep = { type: 'Sequence', normalizers: [deep] };
    for (const [changes, message] of [
      [{ model: { ...model, merges: {} } }, /"model\.merges" is not a list/],
      [{ model: { ...model, merges: [['a', 'b'], 7] } }, /"model\.merges\.1" is not a pair of texts/],
      [{ model: { ...model, merges: undefined } }, /"model\.merges" is missing/],
      [{ model: { ...model, unk_token: {} } }, /"model\.unk_token" is not a text/],
      [
        { normalizer: { type: 'Sequence', normalizers: {} } },
        /"normalizer\.normalizers" is not a list of steps/,
      ],
      [{ normalizer: deep }, /is nested too deeply/],
      [{ pre_tokenizer: { type: 'Split', pattern: 7, behavior: 'Isolated' } }, /pre_tokenizer: "pattern"/],
      [splitAt('(unclosed'), /cannot be used: it holds a regular expression that cannot be used/],
      [{ post_processor: { type: 'TemplateProcessing', single: [']'] } }, /post_processor: "single\.0"/],
      [{ decoder: { type: 7 } }, /decoder: "type" .*expected a text, found 7/],
      [{ added_tokens: [{ id: 1, content: null }] }, /vocabulary entry|added_tokens/],
    ] as [Json, RegExp][]) {
      write(changes);
      await refused(() => openTokenizer(folder), message);
    }
  });

  const render = async (template: string): Promise<unknown> => {
    write({});
    const config = JSON.parse(readFileSync(join(demoFolder, 'tokenizer_config.json'), 'utf8')) as Json;
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ ...config, chat_template: template }),
    );
    return renderChat(await openTokenizer(folder), [{ role: 'user', content: 'hi' }]);
  };
  for (const [template, message] of [
    [
      '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}',
      /does not come to an end \(stopped after 2 s\)/,
    ],
    ['{% for a in range(2000000000) %}x{% endfor %}', /at most 100000 are given/],
    [`{% set x = "ab" %}${'{% set x = x ~ x %}'.repeat(40)}{{ x }}`, /more than 4000000 parts/],
    [`{% set x = [1] %}${'{% set x = x + x %}'.repeat(40)}{{ x }}`, /more than 4000000 parts/],
    [
      `{% set x = [1] %}${'{% set x = [x, x] %}'.repeat(60)}{{ x }}`,
      /does not come to an end|becomes too large/,
    ],
    [
      `{% set x = [1] %}${'{% set x = [x, x] %}'.repeat(60)}{{ x | tojson }}`,
      /does not come to an end|becomes too large/,
    ],
    [`{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`, /nested too deeply/],
    ['{{ messages.nothing() }}', /chat template cannot be used/],
  ] as const) {
    it(`does not hang on the template ${template.slice(0, 60)}`, async () => {
      await refused(() => render(template), message);
    });
  }

  it('renders what is long, but no longer than it may be', async () => {
    assert.equal(String(await render('{% for a in range(50000) %}x{% endfor %}')).length, 50_000);
  });
});

describe('work within a time', () => {
  it('gives its result, or its own error', () => {
    assert.equal(
      withinTime(1000, 'It', () => 7),
      7,
    );
    assert.throws(() => withinTime(1000, 'It', () => assert.fail('own')), /own/);
    assert.equal(
      withinTime(1000, 'It', () => withinTime(1000, 'Inner', () => 1) + 1),
      2,
    );
  });

  it('ends where it stands', () => {
    assert.throws(
      () =>
        withinTime(50, 'It', () => {
          for (;;);
        }),
      /It does not come to an end \(stopped after 0\.05 s\)/,
    );
    assert.equal(
      withinTime(1000, 'It', () => 'fine'),
      'fine',
    );
  });
});
