/**
 * Bundles what ships into dist/: the extension, the engine program, the panel.
 *
 *     node scripts/build.mjs [--production] [--watch]
 */
import { cpSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { context } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const production = process.argv.includes('--production');
const watch = process.argv.includes('--watch');

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: production,
  sourcemap: production ? false : 'linked',
  legalComments: 'external',
  logLevel: 'warning',
};

/** Loaded at run time from node_modules: they bring native libraries. */
const native = ['onnxruntime-node', 'sqlite-vec'];

const bundles = [
  {
    ...common,
    entryPoints: { extension: 'src/extension/extension.ts' },
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    platform: 'node',
    target: 'node22',
    format: 'cjs',
    // A CommonJS bundle has no import.meta.
    define: { 'import.meta.dirname': '__dirname' },
    external: ['vscode', ...native],
  },
  {
    ...common,
    // Processes of their own: a bad graphics driver may abort the probe, a hostile document must not stop the index.
    // The conversion worker runs in threads.
    entryPoints: {
      engine: 'src/engine/main.ts',
      webgpuProbeMain: 'src/decoder/webgpuProbeMain.ts',
      conversionWorker: 'src/checkpoint/quantized/conversionWorker.ts',
      documentReader: 'src/retrieval/reading/documentReaderMain.ts',
    },
    outdir: 'dist',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    target: 'node22',
    format: 'esm',
    // Each role loads its own part.
    splitting: true,
    chunkNames: 'engine/[name]-[hash]',
    external: native,
    // CommonJS packages inside an ES module bundle call require() for Node's own modules.
    banner: {
      js: "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);",
    },
  },
  {
    ...common,
    entryPoints: { panel: 'webview/panel.ts', training: 'webview/training.ts' },
    outdir: 'dist/webview',
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    loader: { '.ttf': 'file', '.svg': 'file' },
  },
];

rmSync(resolve(root, 'dist'), { recursive: true, force: true });
// Tables of character codes for PDF files (src/retrieval/documents/pdf.ts).
cpSync(resolve(root, 'node_modules/pdfjs-dist/cmaps'), resolve(root, 'dist/cmaps'), { recursive: true });
const contexts = await Promise.all(bundles.map((options) => context(options)));
if (watch) {
  await Promise.all(contexts.map((bundle) => bundle.watch()));
} else {
  try {
    await Promise.all(contexts.map((bundle) => bundle.rebuild()));
  } catch {
    process.exitCode = 1; // esbuild has printed why
  }
  await Promise.all(contexts.map((bundle) => bundle.dispose()));
}
