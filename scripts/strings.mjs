/**
 * Collects what the extension says (`vscode.l10n.t`) into l10n/bundle.l10n.json, the file that translators start from:
 * a translation is a copy named bundle.l10n.<language>.json, and package.nls.<language>.json for the manifest.
 *
 *     npm run strings [-- --check]     --check: only says whether the file is up to date
 */
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '..');
const bundle = join(root, 'l10n/bundle.l10n.json');

/** Every text that is passed to l10n.t, sorted. Throws if one is put together at run time: it has no translation. */
function collect() {
  const texts = new Set();
  for (const path of globSync('src/extension/**/*.ts', { cwd: root }).sort()) {
    const source = ts.createSourceFile(
      path,
      readFileSync(join(root, path), 'utf8'),
      ts.ScriptTarget.Latest,
      true,
    );
    const visit = (node) => {
      if (ts.isCallExpression(node) && /\bl10n\.t$/.test(node.expression.getText())) {
        const [text] = node.arguments;
        if (!ts.isStringLiteralLike(text)) {
          const { line } = source.getLineAndCharacterOfPosition(node.getStart());
          throw new Error(`${path}:${line + 1}: l10n.t wants a text, found ${text.getText()}`);
        }
        texts.add(text.text);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return [...texts].sort();
}

const json = `${JSON.stringify(Object.fromEntries(collect().map((text) => [text, text])), null, 2)}\n`;
if (process.argv.includes('--check')) {
  if (readFileSync(bundle, 'utf8') !== json) {
    console.error('l10n/bundle.l10n.json is not what the extension says: run `npm run strings`.');
    process.exit(1);
  }
} else {
  mkdirSync(join(root, 'l10n'), { recursive: true });
  writeFileSync(bundle, json);
}
