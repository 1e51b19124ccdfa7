/** Writing prepared weights: on threads as without them, cancelled, from broken weights, and onto a full disk. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { writePreparedFile } from '../../../src/checkpoint/quantized/convert.ts';
import { recipeOf } from '../../../src/checkpoint/quantized/recipe.ts';
import { preparedWeights } from '../../../src/checkpoint/quantized/store.ts';
import type { Checkpoint } from '../../../src/checkpoint/types.ts';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';

const demo = join(import.meta.dirname, '../../../media/demo');

describe('the file of prepared weights', () => {
  let folder: string;
  let checkpoint: Checkpoint;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'spring-prepared-'));
    cpSync(demo, join(folder, 'model'), { recursive: true });
    checkpoint = await openCheckpoint(join(folder, 'model'));
  });
  after(() => rmSync(folder, { recursive: true }));

  async function write(name: string, onThreads: boolean, signal?: AbortSignal) {
    const path = join(folder, name);
    const steps = writePreparedFile(recipeOf(checkpoint, 'int4', folder), path, signal, onThreads);
    const progress: { done: number; total: number }[] = [];
    for (;;) {
      const step = await steps.next();
      if (step.done) return { sha256: step.value, progress, bytes: readFileSync(path) };
      progress.push(step.value);
    }
  }

  it('threads write the same bytes, and tell of all that was read', async () => {
    const here = await write('here', false);
    const there = await write('there', true);
    assert.ok(here.bytes.equals(there.bytes));
    assert.deepEqual(there.sha256, here.sha256);
    for (const { progress } of [here, there]) {
      assert.ok(progress.length > 4);
      assert.equal(Math.round(progress.at(-1)!.done), progress.at(-1)!.total);
    }
  });

  it('threads end when the signal fires', async () => {
    const controller = new AbortController();
    const steps = writePreparedFile(
      recipeOf(checkpoint, 'int4', folder),
      join(folder, 'cancelled'),
      controller.signal,
      true,
    );
    await steps.next();
    controller.abort();
    await assert.rejects(async () => {
      while (!(await steps.next()).done);
    }, CancelledError);
  });

  it('what a thread finds wrong is said by name', async () => {
    const { file, offset } = checkpoint.tensors.get('model.layers.1.mlp.up_proj.weight')!;
    const sound = readFileSync(file);
    const bytes = Buffer.from(sound);
    bytes.writeUInt16LE(0x7e00, offset + 20); // a float16 NaN
    writeFileSync(file, bytes);
    await assert.rejects(write('broken', true), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /model\.layers\.1\.mlp\.up_proj\.weight.*not finite/);
      return true;
    });
    writeFileSync(file, sound);
  });

  describe('on a full disk', () => {
    let disk: string;
    beforeEach(function () {
      disk = mkdtempSync(join(folder, 'disk-'));
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], { stdio: 'pipe' });
      } catch {
        console.warn('SKIPPED: no right to mount a small file system');
        this.skip();
      }
    });
    afterEach(() => {
      try {
        execFileSync('umount', [disk], { stdio: 'pipe' });
      } catch {
        // it was not mounted
      }
    });

    it('too little room is said before anything is written', async () => {
      writeFileSync(join(disk, 'other'), Buffer.alloc(1.5e6));
      await assert.rejects(
        preparedWeights(checkpoint, 'int8', join(disk, 'kept')).next(),
        /int8 weights of .* need \d MB, but 1 MB are free in .*SPRING_RAG_QUANTIZED/,
      );
      assert.deepEqual(readdirSync(join(disk, 'kept')), []);
    });

    it('a disk that fills up meanwhile: an error that leaves nothing behind', async () => {
      const root = join(disk, 'kept');
      mkdirSync(root);
      const steps = preparedWeights(checkpoint, 'int8', root);
      await steps.next();
      try {
        writeFileSync(join(disk, 'other'), Buffer.alloc(2e6));
      } catch {
        // as much as there is room for
      }
      await assert.rejects(async () => {
        while (!(await steps.next()).done);
      }, /int8 weights of .* could not be written to .*ENOSPC.*Free some space/);
      assert.deepEqual(readdirSync(root), []);
    });
  });
});
