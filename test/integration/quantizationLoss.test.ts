/** What int4 costs a small model: measured when the weights are prepared, kept beside them, said when it is much. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { Decoder } from '../../src/decoder/decoder.ts';
import { lossWarning, quantizationLoss, type QuantizationLoss } from '../../src/decoder/quantizationLoss.ts';

const demo = join(import.meta.dirname, '../../media/demo');

describe('the loss of a small model in int4', () => {
  let root: string;
  before(() => (root = mkdtempSync(join(tmpdir(), 'spring-loss-'))));
  after(() => rmSync(root, { recursive: true }));

  const open = (precision: 'int4' | 'int8'): Promise<Decoder> =>
    Decoder.open(demo, { device: 'cpu', precision, quantizedFolder: root });
  const lossFile = (): string =>
    join(
      root,
      readdirSync(root).find((name) => name.endsWith('-int4'))!,
      'loss.json',
    );

  it('is measured against float32 and kept beside the weights', async () => {
    await using decoder = await opened(open('int4'));
    const { perplexity, reference } = JSON.parse(readFileSync(lossFile(), 'utf8')) as QuantizationLoss;
    assert.ok(perplexity > 1 && reference > 1 && perplexity !== reference);
    const ids = decoder.value.tokenizer.encode(
      'The harbour of the old town lies where the river meets the sea.',
    );
    const scores = await decoder.value.score({ parts: [{ tokenIds: ids }] });
    assert.ok(scores.every((score) => score !== null && score < 0));
  });

  it('is said at every load, without being measured again', async () => {
    writeFileSync(lossFile(), JSON.stringify({ perplexity: 33.6, reference: 25.7 }));
    await using decoder = await opened(open('int4'));
    assert.match(decoder.value.warning!, /perplexity of a short text is 33\.6, in float32 25\.7/);
    assert.match(decoder.value.warning!, /take int8/);
  });

  it('is measured again where the note is damaged, and only if there is memory for float32', async () => {
    writeFileSync(lossFile(), '{"perplexity": "much"}');
    await using decoder = await opened(open('int4'));
    assert.equal(
      typeof (JSON.parse(readFileSync(lossFile(), 'utf8')) as QuantizationLoss).perplexity,
      'number',
    );
    writeFileSync(lossFile(), '');
    const { session } = decoder.value;
    assert.equal(await quantizationLoss(session, decoder.value, undefined, 1000), undefined, 'no memory');
  });

  it('is nobody’s concern in int8, or when it is little', async () => {
    await using decoder = await opened(open('int8'));
    assert.equal(decoder.value.warning, undefined);
    assert.equal(lossWarning({ perplexity: 10.9, reference: 10 }), undefined);
    assert.notEqual(lossWarning({ perplexity: 11, reference: 10 }), undefined);
  });
});

/** A decoder that is disposed of with its block. */
async function opened(opening: Promise<Decoder>): Promise<AsyncDisposable & { value: Decoder }> {
  const value = await opening;
  return { value, [Symbol.asyncDispose]: () => value.dispose() };
}
