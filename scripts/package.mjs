/**
 * Builds the VSIX of one platform, with that platform's native libraries alone.
 *
 *     node scripts/package.mjs [--target linux-x64]      default: this machine's
 *
 * Writes spring-rag-<target>-<version>.vsix. Targets: linux-x64, linux-arm64, darwin-arm64, win32-x64, win32-arm64.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createVSIX } from '@vscode/vsce';

const root = resolve(import.meta.dirname, '..');
const modules = join(root, 'node_modules');
const shipped = join(root, 'dist/node_modules');
const { version } = readJson(join(root, 'package.json'));

/** Each with the file that its binding asks the loader for; other names are copies of it. */
const targets = {
  'linux-x64': { library: 'libonnxruntime.so.1' },
  'linux-arm64': { library: 'libonnxruntime.so.1' },
  'darwin-arm64': { library: 'libonnxruntime.1.dylib' },
  'win32-x64': { library: 'onnxruntime.dll' },
  // sqlite-vec has no build for it: search goes without vectors there.
  'win32-arm64': { library: 'onnxruntime.dll' },
};

const flag = process.argv.indexOf('--target');
const target = flag < 0 ? `${process.platform}-${process.arch}` : process.argv[flag + 1];
if (!(target in targets)) {
  console.error(`There is no package for ${target}; targets are ${Object.keys(targets).join(', ')}.`);
  process.exit(2);
}
const [platform, arch] = target.split('-');

execFileSync(process.execPath, [join(root, 'scripts/build.mjs'), '--production'], { stdio: 'inherit' });
copyOnnxRuntime();
copySqliteVec();
const packagePath = join(root, `spring-rag-${target}-${version}.vsix`);
await createVSIX({
  cwd: root,
  target,
  packagePath,
  dependencies: false,
  allowMissingRepository: true,
  rewriteRelativeLinks: false,
});
rmSync(shipped, { recursive: true });
console.log(`${packagePath} ${(statSync(packagePath).size / 1e6).toFixed(1)} MB`);

function copyOnnxRuntime() {
  const binaries = join('bin/napi-v6', platform, arch);
  const from = join(modules, 'onnxruntime-node');
  const unwanted = /\.(map|d\.ts)$/;
  const filter = (path) => !unwanted.test(path) && !isOtherCopy(path);
  for (const part of ['package.json', 'dist', binaries]) {
    cpSync(join(from, part), join(shipped, 'onnxruntime-node', part), { recursive: true, filter });
  }
  for (const part of ['package.json', 'dist/cjs']) {
    cpSync(join(modules, 'onnxruntime-common', part), join(shipped, 'onnxruntime-common', part), {
      recursive: true,
      filter,
    });
  }
}

/** macOS: the library lies there twice, under two names. */
function isOtherCopy(path) {
  return /libonnxruntime\./.test(path) && !path.endsWith(targets[target].library);
}

function copySqliteVec() {
  cpSync(join(modules, 'sqlite-vec'), join(shipped, 'sqlite-vec'), { recursive: true });
  if (target === 'win32-arm64') return;
  const name = `sqlite-vec-${platform === 'win32' ? 'windows' : platform}-${arch}`;
  const installed = join(modules, name);
  cpSync(existsSync(installed) ? installed : download(name), join(shipped, name), { recursive: true });
}

/** npm installs the packages of this machine's platform alone; another platform's is fetched. */
function download(name) {
  const folder = mkdtempSync(join(tmpdir(), 'spring-rag-'));
  const { version: wanted } = readJson(join(modules, 'sqlite-vec/package.json'));
  execFileSync('npm', ['pack', `${name}@${wanted}`, '--silent'], { cwd: folder });
  execFileSync('tar', ['xzf', `${name}-${wanted}.tgz`], { cwd: folder });
  return join(folder, 'package');
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
