import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '../../../src/checkpoint/safetensors.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import { parseEvents } from '../../../src/protocol/training.ts';
import { parseRun } from '../../../src/protocol/trainingRun.ts';
import { defaultTrainingSettings } from '../../../src/spring/training/settings.ts';
import { readState, writeState, type TrainingState } from '../../../src/spring/training/state.ts';

describe('the state of a training run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'training-state-'));
  const file = join(folder, 'state.safetensors');
  after(() => rmSync(folder, { recursive: true }));

  const state: TrainingState = {
    step: 7,
    rows: Float32Array.of(1, 2, 3, 4),
    firstMoments: Float32Array.of(0, 1, 0, 1),
    secondMoments: Float32Array.of(5, 6, 7, 8),
    validatedStep: 5,
    best: { step: 5, loss: 1.5, rows: Float32Array.of(9, 9, 9, 9) },
    validationsWithoutGain: 1,
  };
  const refused = async (pattern: RegExp): Promise<void> => {
    await assert.rejects(readState(file, 'f'), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, pattern);
      return true;
    });
  };

  it('is read as it was written', async () => {
    await writeState(file, state, 2, 'f');
    assert.deepEqual(await readState(file, 'f'), state);
    await writeState(file, { ...state, best: undefined }, 2, 'f');
    assert.deepEqual(await readState(file, 'f'), { ...state, best: undefined });
    await assert.rejects(readState(file, 'g'), /other settings, data or model/);
  });

  it('is refused if a single bit of it has changed, wherever', async () => {
    await writeState(file, state, 2, 'f');
    const sound = readFileSync(file);
    const header = 8 + Number(sound.readBigUInt64LE());
    for (let byte = header; byte < sound.length; byte += 5) {
      const damaged = Buffer.from(sound);
      damaged[byte]! ^= 1;
      writeFileSync(file, damaged);
      await refused(/checksum differs/);
    }
    const step = Buffer.from(sound.toString('latin1').replace('\\"step\\":7', '\\"step\\":8'), 'latin1');
    assert.notDeepEqual(step, sound);
    writeFileSync(file, step);
    await refused(/checksum differs/);
  });

  it('names what is wrong with its progress', async () => {
    await writeState(file, state, 2, 'f');
    const { metadata } = await readSafetensors(file);
    for (const [progress, pattern] of [
      ['{', /damaged: its progress is not valid JSON/],
      ['null', /damaged: its progress: it is not as it should be/],
      ['{"step":-1,"validatedStep":0,"validationsWithoutGain":0}', /"step" is not as it should be/],
      ['{"step":1,"validatedStep":0}', /"validationsWithoutGain" is missing/],
    ] as const) {
      await writeSafetensors(file, [], { ...metadata, progress });
      await refused(pattern);
    }
  });
});

describe('the files of a training run', () => {
  const run = {
    ...{ version: 1, model: 'demo', modelName: 'Demo', data: 'd.jsonl', validationShare: 0.1 },
    ...{ tokenFile: '/t.safetensors', workspace: null, createdAt: '2026-01-01' },
    settings: { ...defaultTrainingSettings, numTokens: 4, steps: 2, maxLength: 512 },
  };

  it('are checked field by field', () => {
    assert.deepEqual(parseRun(JSON.stringify(run), 'run.json'), run);
    for (const [damaged, pattern] of [
      ['nothing', /run\.json is not valid JSON/],
      ['[]', /run\.json: /],
      [JSON.stringify({ ...run, settings: null }), /run\.json: "settings" .*found null/],
      [
        JSON.stringify({ ...run, settings: { ...run.settings, steps: '2' } }),
        /"settings\.steps" .*number.*found "2"/,
      ],
      [JSON.stringify({ ...run, validationShare: 7 }), /"validationShare"/],
      [JSON.stringify({ ...run, tokenFile: undefined }), /"tokenFile" is missing/],
    ] as const) {
      assert.throws(
        () => parseRun(damaged, 'run.json'),
        (error) => {
          assert.ok(error instanceof UserError);
          assert.match(error.message, pattern);
          return true;
        },
      );
    }
  });

  it('drop lines of the log that are no events', () => {
    const step = {
      ...{ type: 'step', step: 1, epoch: 0, loss: null, k: 3, learningRate: 0.1, gradientNorm: 1 },
      ...{ cachedExamples: 0, seconds: 1 },
    };
    const lines = [
      '',
      'null',
      '{"type":"step"}',
      JSON.stringify({ ...step, k: {} }),
      JSON.stringify(step),
      '{"ty',
    ];
    assert.deepEqual(parseEvents(lines.join('\n')), [step]);
  });
});
