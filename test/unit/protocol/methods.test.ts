import assert from 'node:assert/strict';
import { readFileSync, globSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import {
  expandVariants,
  formatVariant,
  methodNames,
  methodOf,
  parseVariant,
  variantHelp,
  variantLabel,
  variantPattern,
  type Variant,
} from '../../../src/protocol/methods.ts';
import { fileOfLabel, tokenFileLabels } from '../../../src/protocol/tokenFileLabels.ts';

/** Texts that are a method's name and mean something else, and where. */
const otherMeanings: Readonly<Record<string, RegExp>> = {
  // a kind of model, beside base models
  chat: /^src\/(hub\/|extension\/models\/|engine\/inspection|cli\/commands\/(download|models)\.ts)/,
  // the name of the command, also as the tag of a TREC run
  spring: /^src\/(cli\/main|evaluation\/report\/writeResults)\.ts$/,
  // a field of requests
  prag: /^src\/protocol\/engine\.ts$/,
  // a style
  prompt: /^webview\/views\/column\.ts$/,
};

const root = join(import.meta.dirname, '../../..');

describe('the table of methods', () => {
  it('has the ids, and the labels, that records and command lines have always had', () => {
    const known: [id: string, label: string][] = [
      ['no-rag', 'No retrieval'],
      ['baseline', 'Baseline'],
      ['prompt', 'Instruction prompt'],
      ['spring:0', 'SPRING k=0'],
      ['spring:50', 'SPRING k=50'],
      ['icl', 'Standard RAG (PRAG prompt)'],
      ['prag', 'Parametric RAG'],
      ['prag+rag', 'Parametric RAG + passages'],
      ['placebo', 'Placebo adapters'],
      ['spring:10+prag', 'SPRING k=10 + Parametric RAG'],
    ];
    for (const [id, label] of known) {
      const variant = parseVariant(id);
      assert.ok(variant, id);
      assert.equal(formatVariant(variant), id);
      assert.equal(variantLabel(variant), label);
      assert.match(id, new RegExp(variantPattern('required')));
    }
  });

  it('reads what it writes, for every method, number and file', () => {
    for (const method of methodNames) {
      const { rows, strength } = methodOf({ method });
      const variants: Variant[] = [{ method }];
      if (rows)
        variants.push({ method, k: 3 }, { method, k: 3, tokenFile: 'a.b~1' }, { method, tokenFile: 'a' });
      if (strength !== undefined) variants.push({ method, strength: 0.3 });
      for (const variant of variants) assert.deepEqual(parseVariant(formatVariant(variant)), variant);
    }
  });

  it('knows no other names, and takes numbers and files only where they mean something', () => {
    const wrong = ['', 'magic', 'baseline:3', 'baseline@a', 'spring:', 'spring:x', 'spring:1.5', 'spring:3@'];
    wrong.push('spring:1@a@b', 'prag:3+rag', 'Baseline', 'spring:1000000', 'toString', 'spring:3@a,b');
    for (const id of wrong) assert.equal(parseVariant(id), undefined, id);
    assert.doesNotMatch('spring', new RegExp(variantPattern('required')));
  });

  it('is what the manifest allows in its setting', () => {
    interface Manifest {
      contributes: { configuration: { properties: Record<string, { items: { pattern: string } }> } };
    }
    const { contributes } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
    const { pattern } = contributes.configuration.properties['springRag.variants']!.items;
    assert.equal(pattern, variantPattern('optional'), "copy it from variantPattern('optional')");
  });

  it('is named in the help with what may follow', () => {
    assert.match(variantHelp(), /^no-rag, baseline, .*spring\[:K\]\[@FILE\]/);
  });

  it('writes out what stands for every k and every file', () => {
    const axes = [
      { tokenFile: 'a', k: [1, 10] },
      { tokenFile: 'b', k: [5] },
    ];
    const ids = (...variants: Variant[]): string[] => expandVariants(variants, axes).map(formatVariant);
    assert.deepEqual(ids({ method: 'baseline' }, { method: 'spring' }), [
      ...['baseline', 'spring:1@a', 'spring:10@a', 'spring:5@b'],
    ]);
    assert.deepEqual(ids({ method: 'spring+prag', k: 7 }), ['spring:7+prag@a', 'spring:7+prag@b']);
    assert.deepEqual(ids({ method: 'spring', tokenFile: 'b' }), ['spring:5@b']);
    assert.deepEqual(ids({ method: 'spring', tokenFile: 'c' }), []);
    const one = expandVariants([{ method: 'spring', tokenFile: 'a' }, { method: 'spring' }], [{ k: [2] }]);
    assert.deepEqual(one.map(formatVariant), ['spring:2@a', 'spring:2']);
  });

  it('is the only place, with the files of src/methods, where a method has its name', () => {
    const names = methodNames.map((name) => name.replaceAll('+', '\\+')).join('|');
    const mentions = new RegExp(`^(${names})(:[^ ]*)?$`);
    const files = globSync(['src/**/*.ts', 'webview/**/*.ts'], { cwd: root });
    assert.ok(files.length > 200);
    const found = files
      .map((file) => file.replaceAll('\\', '/'))
      .filter((file) => file !== 'src/protocol/methods.ts' && !file.startsWith('src/methods/'))
      .filter((file) =>
        texts(join(root, file)).some((text) => mentions.test(text) && !otherMeanings[text]?.test(file)),
      );
    assert.deepEqual(found, []);
  });
});

/** The texts in a file's code: literals, beginnings of templates, alternatives of patterns; not comments and paths. */
function texts(file: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isRegularExpressionLiteral(node)) found.push(...node.text.split(/[,^()|/]/));
    else if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) found.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest));
  return found;
}

describe('labels of embedding files', () => {
  const file = (path: string, sha256 = path): { path: string; sha256: string } => ({ path, sha256 });

  it('are names that may stand in an id, with the hash where a name is not enough', () => {
    const files = [
      file('/x/a b,@c.pt'),
      file('/x/t.pt', '0123456789'),
      file('C:\\y\\t.safetensors', 'abcdefghij'),
    ];
    assert.deepEqual(tokenFileLabels(files), ['a-b--c', 't~01234567', 't~abcdefgh']);
    for (const label of tokenFileLabels(files)) assert.ok(parseVariant(`spring:1@${label}`), label);
  });

  it('find their file, never another of the same name', () => {
    const [one, two] = [file('/x/t.pt', '0123456789'), file('/y/t.pt', 'abcdefghij')];
    assert.equal(fileOfLabel([one], 't'), one);
    assert.equal(fileOfLabel([one], 't~01234567'), one);
    assert.equal(fileOfLabel([one], 't~abcdefgh'), undefined);
    assert.equal(fileOfLabel([one, two], 't'), undefined);
    assert.equal(fileOfLabel([one, two], 't~abcdefgh'), two);
  });
});
