/** A stand-in for the Hub with one model in it, for the tests of a `describe`. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'mocha';
import { HubError, type HubProblem } from '../../../src/hub/hubError.ts';
import { digest, type Fault } from '../../fixtures/hub/hubServer.ts';
import {
  commit,
  contentsOf,
  downloadAll,
  modelFiles,
  openTestHub,
  type TestHub,
} from '../../fixtures/hub/testHub.ts';

export const request = { repository: 'a/b', kind: 'chat' } as const;
export const neededNames = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

/** The hub of the running test, and what is asked of it. */
export class TestDownloads {
  hub!: TestHub;
  files!: Record<string, Buffer>;

  /** Registers the hooks: every test has a hub of its own. */
  constructor() {
    beforeEach(async () => {
      this.hub = await openTestHub();
      this.files = modelFiles();
      this.hub.server.repositories.set('a/b', { commit, files: this.files });
    });
    afterEach(() => this.hub.close());
  }

  root(): string {
    return join(this.hub.cacheDir, 'models--a--b');
  }

  blob(name: string): string {
    return join(this.root(), 'blobs', digest('sha256', this.files[name]!));
  }

  /** Faults for the large file's bytes, one per request, then none. */
  faults(...list: Fault[]): void {
    this.hub.server.fault = ({ server }) => (server === 'cdn' ? list.shift() : undefined);
  }

  refused(problem: HubProblem, message: RegExp, options = this.hub.options): Promise<void> {
    return assert.rejects(downloadAll(request, options), (error) => {
      assert(error instanceof HubError, String(error));
      assert.equal(error.problem, problem, error.message);
      assert.match(error.message, message);
      return true;
    });
  }

  async assertComplete(): Promise<void> {
    const contents = await contentsOf(join(this.root(), 'snapshots', commit));
    assert.deepEqual(Object.keys(contents).sort(), neededNames);
    for (const [name, bytes] of Object.entries(contents)) assert(bytes.equals(this.files[name]!), name);
  }
}
