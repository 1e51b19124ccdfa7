/**
 * Builds the VSIX of every platform and looks into it: the native files that it must have, no others, all of them
 * made for that platform. Prints the sizes.
 *
 *     node scripts/checkPackages.mjs [TARGET ...]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import yauzl from 'yauzl';

const root = resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Binding, runtime with what it loads, sqlite-vec. DirectML and the shader compiler are the GPU's on Windows. */
const direct = ['DirectML.dll', 'dxcompiler.dll', 'dxil.dll'];
const wanted = {
  'linux-x64': ['onnxruntime_binding.node', 'libonnxruntime.so.1', 'vec0.so'],
  'linux-arm64': ['onnxruntime_binding.node', 'libonnxruntime.so.1', 'vec0.so'],
  'darwin-arm64': ['onnxruntime_binding.node', 'libonnxruntime.1.dylib', 'vec0.dylib'],
  'win32-x64': ['onnxruntime_binding.node', 'onnxruntime.dll', ...direct, 'vec0.dll'],
  'win32-arm64': ['onnxruntime_binding.node', 'onnxruntime.dll', ...direct],
};

let failed = false;
const chosen = process.argv.slice(2);
for (const target of chosen.length > 0 ? chosen : Object.keys(wanted)) {
  execFileSync(process.execPath, [join(root, 'scripts/package.mjs'), '--target', target], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const path = join(root, `spring-rag-${target}-${version}.vsix`);
  const problems = check(target, await nativeFiles(path));
  console.log(`${target.padEnd(12)} ${(statSync(path).size / 1e6).toFixed(1).padStart(5)} MB`);
  for (const problem of problems) console.error(`  ${problem}`);
  failed ||= problems.length > 0;
}
if (failed) process.exitCode = 1;

/** What is wrong with a package's native files. */
function check(target, files) {
  const names = files.map(({ name }) => name.split('/').at(-1));
  const binding = files.find(({ name }) => name.endsWith('.node'))?.content;
  const runtime = wanted[target].find((name) => /^(lib)?onnxruntime\./.test(name));
  return [
    ...wanted[target].filter((name) => !names.includes(name)).map((name) => `${name} is missing`),
    ...names.filter((name) => !wanted[target].includes(name)).map((name) => `${name} should not be there`),
    ...files
      .filter(({ platform }) => platform !== target)
      .map(({ name, platform }) => `${name} is made for ${platform}`),
    ...(binding?.includes(`${runtime}\0`) ? [] : [`the binding does not load ${runtime}`]),
  ];
}

/** The files that are machine code by their first bytes, with the platform they are made for. */
async function nativeFiles(path) {
  const archive = await yauzl.openPromise(path);
  const files = [];
  for await (const entry of archive.eachEntry()) {
    if (entry.fileName.endsWith('/')) continue;
    const content = await buffer(await archive.openReadStreamPromise(entry));
    const platform = platformOf(content);
    if (platform) files.push({ name: entry.fileName, platform, content });
  }
  return files;
}

/** From the headers of ELF, Mach-O and PE files; undefined for everything else. */
function platformOf(content) {
  if (content.length < 64) return undefined;
  if (content.readUInt32BE(0) === 0x7f454c46) {
    return `linux-${{ 0x3e: 'x64', 0xb7: 'arm64' }[content.readUInt16LE(18)]}`;
  }
  if (content.readUInt32LE(0) === 0xfeedfacf) {
    return `darwin-${{ 0x01000007: 'x64', 0x0100000c: 'arm64' }[content.readUInt32LE(4)]}`;
  }
  if (content.toString('latin1', 0, 2) === 'MZ') {
    return `win32-${{ 0x8664: 'x64', 0xaa64: 'arm64' }[content.readUInt16LE(content.readUInt32LE(60) + 4)]}`;
  }
  return undefined;
}
