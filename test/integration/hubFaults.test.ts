/**
 * Random faults in the download path: cuts, wrong bytes, wrong lengths, stalls, refusals, a full disk, a killed
 * process. Whatever happens, a model that opens has the right bytes, and without faults the download completes.
 * SPRING_FAULTS sets the number of faulty downloads (default 40), SPRING_FAULTS_SEED the seed.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { resolveModel } from '../../src/hub/resolve.ts';
import type { Disk } from '../../src/hub/types.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { digest, gitHash } from '../fixtures/hub/hubServer.ts';
import type { Fault, SeenRequest } from '../fixtures/hub/hubServer.ts';
import { commit, contentsOf, downloadAll, openTestHub } from '../fixtures/hub/testHub.ts';
import type { TestHub } from '../fixtures/hub/testHub.ts';

const runs = Number(process.env['SPRING_FAULTS'] ?? 40);
const seed = Number(process.env['SPRING_FAULTS_SEED'] ?? 7);
const request = { repository: 'a/b', kind: 'chat' } as const;
const demoFolder = join(import.meta.dirname, '..', '..', 'media', 'demo');
const child = join(import.meta.dirname, '..', 'fixtures', 'hub', 'downloadChild.ts');

/** Numbers in [0, 1), the same for the same seed (a linear congruential generator, Numerical Recipes' constants). */
function randomNumbers(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('faults while a model is downloaded', () => {
  let hub: TestHub;
  let files: Record<string, Buffer>;
  before(async () => {
    hub = await openTestHub();
    files = await contentsOf(demoFolder);
    hub.server.repositories.set('a/b', { commit, files });
  });
  after(() => hub.close());

  const root = (): string => join(hub.cacheDir, 'models--a--b');

  /** What must hold at any moment; returns whether the model can be opened. */
  async function check(): Promise<boolean> {
    const blobs = await readdir(join(root(), 'blobs')).catch(() => []);
    for (const name of blobs) {
      if (name.endsWith('.incomplete')) continue;
      const bytes = await readFile(join(root(), 'blobs', name));
      assert.equal(
        name.length === 64 ? digest('sha256', bytes) : gitHash(bytes),
        name,
        'a blob has other bytes',
      );
    }
    const snapshots = await readdir(join(root(), 'snapshots')).catch(() => []);
    let opens = false;
    for (const snapshot of snapshots) {
      const folder = join(root(), 'snapshots', snapshot);
      opens ||= await openCheckpoint(folder).then(
        () => true,
        () => false,
      );
      for (const [name, bytes] of Object.entries(await contentsOf(folder))) {
        assert(files[name]?.equals(bytes), `${name} of the snapshot has other bytes`);
      }
    }
    return opens;
  }

  it(`${runs} of them: never a model with wrong bytes`, async function () {
    this.timeout(600_000);
    const random = randomNumbers(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    const counts = new Map<string, number>();
    const makeFault = ({ server }: SeenRequest): Fault | undefined => {
      const size = server === 'cdn' ? 2_200_000 : 1000;
      const choices: Fault[] = [
        { kind: 'cut', after: below(size) },
        { kind: 'cut', after: below(200) },
        { kind: 'corrupt', at: below(size) },
        { kind: 'corrupt', at: below(size) },
        { kind: 'shorter', by: 1 + below(size / 2) },
        { kind: 'longer', by: 1 + below(1000) },
        { kind: 'stall', after: below(size) },
        { kind: 'slow', chunk: size / 4, pauseMs: 2 },
        { kind: 'wrong-range' },
        { kind: 'ignore-range' },
        { kind: 'status', status: 429, headers: { 'Retry-After': '0' } },
        { kind: 'status', status: [401, 403, 404, 500, 503][below(5)]! },
      ];
      return choices[below(choices.length)];
    };
    const count = (name: string): void => {
      counts.set(name, (counts.get(name) ?? 0) + 1);
    };

    for (let run = 0; run < runs; run++) {
      const disk: Partial<Disk> = {};
      const kind = run % 10;
      let faulty = false;
      if (kind === 8) {
        // A full disk.
        let room = below(2_300_000);
        disk.write = async (file, bytes, position) => {
          const fitting = bytes.subarray(0, room);
          await file.write(fitting, 0, fitting.length, position);
          room -= fitting.length;
          if (fitting.length < bytes.length) {
            count('full disk');
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          }
        };
      } else if (kind !== 9) {
        const rate = 0.1 + random() * 0.4;
        hub.server.fault = (seen) => {
          const fault = random() < rate || !faulty ? makeFault(seen) : undefined;
          if (fault === undefined) return undefined;
          faulty = true;
          count(fault.kind === 'status' ? `status ${fault.status}` : fault.kind);
          return fault;
        };
      }
      if (kind === 9) {
        count('kill');
        hub.server.fault = ({ server }) =>
          server === 'cdn' ? { kind: 'slow', chunk: 200_000, pauseMs: 10 } : undefined;
        await killedDownload(() => delay(below(200)));
      } else {
        const retry = { attempts: 3, firstDelayMs: 1, maximumDelayMs: 10, stallMs: 60 };
        await downloadAll(request, { ...hub.options, retry, disk }).catch((error: unknown) => {
          assert(error instanceof UserError, `no clear message: ${String(error)}`);
        });
      }
      hub.server.fault = () => undefined;
      if (await check()) await rm(root(), { recursive: true });
      else if (run % 4 === 0) {
        await downloadAll(request, hub.options);
        assert(await check(), 'completes without faults');
        assert.equal(basename(await resolveModel('a/b', { cacheDir: hub.cacheDir })), commit);
        await rm(root(), { recursive: true });
      }
    }
    const list = [...counts].sort().map(([name, times]) => `${name} ${times}`);
    console.log(`      faults: ${list.join(', ')}`);
    assert(counts.size >= Math.min(8, runs), 'the faults are of many kinds');
  });

  it('a killed process leaves nothing that looks complete, and the next one resumes', async () => {
    await rm(root(), { recursive: true, force: true });
    hub.server.fault = ({ server }) =>
      server === 'cdn' ? { kind: 'slow', chunk: 100_000, pauseMs: 20 } : undefined;
    const blob = join(root(), 'blobs', digest('sha256', files['model.safetensors']!));
    await killedDownload(async () => {
      while (((await stat(`${blob}.incomplete`).catch(() => undefined))?.size ?? 0) < 300_000) await delay(5);
    });
    hub.server.fault = () => undefined;
    assert.equal(await check(), false);
    const { size } = await stat(`${blob}.incomplete`);
    assert(size < files['model.safetensors']!.length);
    hub.server.requests.length = 0;
    await downloadAll(request, hub.options);
    assert(await check());
    assert(
      hub.server.contentRequests.some(({ range }) => /^bytes=[1-9]/.test(range ?? '')),
      'resumed',
    );
  });

  /** Starts the download in a process and kills it once it has a plan and `moment` has passed. */
  async function killedDownload(moment: () => Promise<void>): Promise<void> {
    const arguments_ = [
      '--disable-warning=ExperimentalWarning',
      child,
      hub.server.endpoint,
      hub.cacheDir,
      'a/b',
    ];
    const process_ = spawn(process.execPath, arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exit = once(process_, 'exit');
    await Promise.race([once(process_.stdout, 'data'), exit]);
    await moment();
    process_.kill('SIGKILL');
    await exit;
  }
});
