/**
 * Compares llama.cpp's greedy ids on the GGUF fixtures with the golden ones of transformers: names, metadata and the
 * order of rows are right where they agree. Keys and values in float32; quantised weights meet int8 activations there,
 * so their ids are printed only.
 *
 *   npm install --prefix SCRATCH node-llama-cpp@3.22.1 && node checkGguf.mjs SCRATCH [NAME...]
 */
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [scratch, ...wanted] = process.argv.slice(2);
const entry = createRequire(join(resolve(scratch), 'package.json')).resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const fixtures = resolve(import.meta.dirname, '../fixtures/gguf');
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: LlamaLogLevel.error });
let failed = 0;
for (const name of wanted.length > 0 ? wanted : readdirSync(fixtures).sort()) {
  const golden = JSON.parse(readFileSync(join(fixtures, name, 'golden.json'), 'utf8'));
  const model = await llama.loadModel({ modelPath: join(fixtures, name, 'model.gguf'), gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: 96,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  const { greedy_ids: expected, greedy_margins: margins } = golden.scenarios.baseline;
  const ids = [];
  const prompt = [...golden.prefix_ids, ...golden.suffix_ids];
  for await (const token of context
    .getSequence()
    .evaluate(prompt, { temperature: 0, yieldEogTokens: true })) {
    ids.push(token);
    if (ids.length === expected.length) break;
  }
  const first = expected.findIndex((id, index) => ids[index] !== id);
  const quantised = /q\d/.test(name);
  if (first >= 0 && !quantised) failed++;
  console.log(
    `${name}: ${first < 0 ? 'equal' : `differs from ${first}, margin ${margins[first]}: ${ids}, expected ${expected}`}`,
  );
  await context.dispose();
  await model.dispose();
}
await llama.dispose();
process.exitCode = failed;
