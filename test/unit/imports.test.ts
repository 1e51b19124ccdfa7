/** How files import each other: no circles, not even of types, so that every file can be read after those it imports. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** The files that a file imports, types and dynamic imports included. */
function importsOf(file: string): string[] {
  const imports = readFileSync(file, 'utf8').matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+\.ts)'/g);
  return [...imports].map(([, path]) => resolve(dirname(file), path!));
}

/** A circle among the files, if there is one: each imports the next. */
function findCircle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const finished = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (finished.has(file)) return undefined;
    path.push(file);
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next);
      if (circle) return circle;
    }
    path.pop();
    finished.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const circle = visit(file);
    if (circle) return circle;
  }
  return undefined;
}

describe('imports', () => {
  it('a circle would be found', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['d', 'b']],
    ]);
    assert.deepEqual(findCircle(graph), ['b', 'c', 'b']);
  });

  it('have no circles', () => {
    const files = globSync(['src/**/*.ts', 'webview/**/*.ts'], { cwd: root }).map((file) => join(root, file));
    assert.ok(files.length > 300);
    const graph = new Map(files.map((file) => [file, importsOf(file)]));
    assert.ok(graph.get(join(root, 'src/engine/main.ts'))!.includes(join(root, 'src/engine/indexRole.ts')));
    const circle = findCircle(graph)?.map((file) => relative(root, file));
    assert.equal(circle, undefined, circle?.join(' imports '));
  });
});
