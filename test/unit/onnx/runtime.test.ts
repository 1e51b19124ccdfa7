import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const moduleUrl = (path: string): string => new URL(`../../../src/${path}`, import.meta.url).href;
const program = `
  import { Graph } from '${moduleUrl('onnx/graph.ts')}';
  import { InferenceSession, Tensor } from '${moduleUrl('onnx/runtime.ts')}';
  const graph = new Graph();
  graph.output('y', graph.node('Neg', [graph.input('x', 'float32', [1])]), [1]);
  const session = await InferenceSession.create(graph.encode().bytes);
  const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(3), [1]) });
  console.log(y.data[0]);
`;

describe('the runtime', () => {
  it('leaves nothing in the home folder: neither an identity nor events to be sent', () => {
    const home = mkdtempSync(join(tmpdir(), 'home-'));
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      env: { ...process.env, ORT_DISABLE_TELEMETRY: undefined, XDG_CACHE_HOME: undefined, HOME: home },
      encoding: 'utf8',
    });
    assert.equal(output.trim(), '-3');
    assert.deepEqual(readdirSync(home), []);
    rmSync(home, { recursive: true });
  });
});
