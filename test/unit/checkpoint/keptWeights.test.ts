import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { keptOf, listKept, removeKept, removeOrphans } from '../../../src/checkpoint/quantized/kept.ts';
import { preparedWeights } from '../../../src/checkpoint/quantized/store.ts';

describe('quantised weights that are kept', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spring-kept-'));
  const root = join(folder, 'quantized');
  const model = join(folder, 'model');
  before(async () => {
    cpSync(join(import.meta.dirname, '../../../media/demo'), model, { recursive: true });
    const making = preparedWeights(await openCheckpoint(model), 'int8', root);
    for (let step = await making.next(); step.done !== true; step = await making.next());
    // What lies there and is something else is neither shown nor removed.
    mkdirSync(join(root, 'other'));
    writeFileSync(join(root, 'other/file'), 'x');
    mkdirSync(join(root, 'unfinished.tmp'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('are found by their model and in the list, and go when they are removed', async () => {
    assert.deepEqual(await listKept(join(folder, 'nowhere')), []);
    assert.deepEqual(await keptOf(join(folder, 'nowhere'), root), []);
    const kept = await keptOf(model, root);
    assert.deepEqual(await listKept(root), kept);
    assert.deepEqual(
      kept.map(({ precision, hasSources }) => [precision, hasSources]),
      [['int8', true]],
    );
    assert.ok(kept[0]!.bytes > 500_000, `${String(kept[0]!.bytes)} bytes`);
    assert.ok(kept[0]!.sources.every((source) => source.endsWith('.safetensors')));
    rmSync(join(model, 'model.safetensors'));
    assert.equal((await listKept(root))[0]!.hasSources, false);
    assert.equal(await removeOrphans(join(folder, 'mod'), root), 0);
    assert.equal((await listKept(root)).length, 1);
    assert.equal(await removeOrphans(model, root), kept[0]!.bytes);
    assert.deepEqual(await listKept(root), []);
    await removeKept(kept);
    assert.deepEqual(await listKept(root), []);
    assert.ok(existsSync(join(root, 'other/file')));
  });
});
