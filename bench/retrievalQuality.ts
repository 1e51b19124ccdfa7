/**
 * How well search finds what it should: NQ-open questions over their Wikipedia passages, and the demo's questions
 * over its documents.
 *
 *     node bench/retrievalQuality.ts [--data ../shared]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { openIndex } from '../src/retrieval/workspaceIndex.ts';

interface Judged {
  question: string;
  /** Whether a hit with this path and text is right. */
  isRight: (path: string, text: string) => boolean;
}

const { values } = parseArgs({ options: { data: { type: 'string', default: '../shared' } } });
const work = mkdtempSync(join(tmpdir(), 'retrieval-quality-'));
try {
  const nqFolder = join(work, 'nq');
  await report('NQ-open, passages as files', nqFolder, nqQuestions(nqFolder));
  await report('demo documents, right file', 'samples/workspace', demoQuestions(false));
  await report('demo documents, answer in passage', 'samples/workspace', demoQuestions(true));
} finally {
  rmSync(work, { recursive: true });
}

/** Writes each distinct passage as a Markdown file; a hit is the question's own passage. */
function nqQuestions(folder: string): Judged[] {
  mkdirSync(folder);
  const file = join(values.data, 'data/nq-open/questions-with-passage.jsonl.gz');
  const paths = new Map<string, string>();
  return lines(gunzipSync(readFileSync(file)).toString('utf8')).map((line) => {
    const { question, ctxs } = JSON.parse(line) as {
      question: string;
      ctxs: { title: string; text: string }[];
    };
    const { title, text } = ctxs[0]!;
    const content = `# ${title}\n\n${text}\n`;
    let path = paths.get(content);
    if (path === undefined) {
      path = `passage${paths.size}.md`;
      paths.set(content, path);
      writeFileSync(join(folder, path), content);
    }
    return { question, isRight: (hit) => hit === path };
  });
}

function demoQuestions(needAnswer: boolean): Judged[] {
  return lines(readFileSync(join(values.data, 'demo/qa-docs.jsonl'), 'utf8')).map((line) => {
    const { question, target, file } = JSON.parse(line) as {
      question: string;
      target: string[];
      file: string;
    };
    const isRight = (path: string, text: string) =>
      path === file && (!needAnswer || target.some((answer) => text.includes(answer)));
    return { question, isRight };
  });
}

async function report(name: string, folder: string, questions: readonly Judged[]): Promise<void> {
  using index = openIndex(join(work, `${name}.sqlite`));
  const update = index.update([folder]);
  while (!(await update.next()).done);
  const at = { 1: 0, 3: 0, 10: 0 };
  let reciprocalRanks = 0;
  for (const { question, isRight } of questions) {
    const { hits } = await index.search(question, { limit: 10 });
    const place = 1 + hits.findIndex((hit) => isRight(hit.path, hit.text));
    if (place === 0) continue;
    reciprocalRanks += 1 / place;
    for (const cut of [1, 3, 10] as const) if (place <= cut) at[cut]++;
  }
  const percent = (count: number) => `${((100 * count) / questions.length).toFixed(1)} %`;
  const { files, chunks } = index.status();
  process.stdout.write(
    `${name}: ${questions.length} questions, ${files} files, ${chunks} chunks: hit@1 ${percent(at[1])}, ` +
      `hit@3 ${percent(at[3])}, hit@10 ${percent(at[10])}, MRR@10 ${(reciprocalRanks / questions.length).toFixed(3)}\n`,
  );
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
