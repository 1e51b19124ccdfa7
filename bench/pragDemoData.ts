/**
 * Augmented passages for the demo documents, without a large model: the demo model is too small to rewrite a passage or
 * to ask about it. Sentence and question patterns are learnt from qa-train.jsonl (which passages' sentences answer
 * which wording of a question) and applied to the documents' passages. Nothing of the test questions is used but which
 * passages BM25 finds for them.
 *
 *     node bench/pragDemoData.ts ../shared/demo bench/out/qa-docs-augmented.json
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readEvaluationData, type EvaluationItem } from '../src/evaluation/questions.ts';
import { retrieveForItems } from '../src/evaluation/retrieval.ts';
import { LocalRetriever } from '../src/retrieval/localRetriever.ts';
import { formatAugmentedData, type AugmentedPassage } from '../src/prag/augmentedData.ts';
import { questionsPerPassage, type QuestionAnswer } from '../src/prag/questionAnswers.ts';

const entityMark = '{E}';
const valueMark = '{V}';
const passagesPerQuestion = 3;

/** A pattern of a sentence that states a fact, and how questions ask for that fact. */
interface FactPattern {
  sentence: string;
  matcher: RegExp;
  /** By how often they were seen, the most frequent first. */
  questions: string[];
}

const [source = 'samples/questions', target = 'bench/out/qa-docs-augmented.json'] = process.argv.slice(2);
const documents = resolve(import.meta.dirname, '../samples/workspace');
const patterns = learnPatterns((await readEvaluationData(join(source, 'qa-train.jsonl'))).items);
const { items } = await readEvaluationData(join(source, 'qa-docs.jsonl'));
using retriever = LocalRetriever.open(documents);
const retrieved = await retrieveForItems(items, retriever, passagesPerQuestion);
const known = new Map<string, AugmentedPassage | undefined>();
for (const { text } of retrieved.flatMap(({ passages }) => passages)) {
  if (!known.has(text)) known.set(text, augment(text, patterns));
}
const questions = retrieved.map(({ question, goldAnswers, passages }, index) => ({
  question,
  answers: goldAnswers,
  augmented: passages.flatMap(({ text }) => known.get(text) ?? []),
  rest: { test_id: index },
}));
await mkdir(dirname(target), { recursive: true });
await writeFile(target, formatAugmentedData(questions, 'patterns'));
const augmented = [...known.values()].filter((entry) => entry !== undefined).length;
console.log(
  `${patterns.length} patterns; ${augmented} of ${known.size} passages augmented; written to ${target}`,
);

function learnPatterns(examples: readonly EvaluationItem[]): FactPattern[] {
  const counts = new Map<string, Map<string, number>>();
  for (const { question, goldAnswers, passages } of examples) {
    const value = goldAnswers[0]!;
    const names = [...question.matchAll(/(?<=\s)[A-Z]\w+/g)].map(([name]) => name);
    const text = passages.map((passage) => passage.text).join('\n');
    const entity = names.findLast((name) => text.includes(name));
    if (entity === undefined) continue;
    const asked = question.replaceAll(entity, entityMark);
    for (const sentence of sentencesOf(text)) {
      if (!sentence.includes(value) || !sentence.includes(entity)) continue;
      const pattern = sentence.replaceAll(value, valueMark).replaceAll(entity, entityMark);
      if (pattern.split(valueMark).length !== 2) continue;
      const wordings = counts.get(pattern) ?? new Map<string, number>();
      wordings.set(asked, (wordings.get(asked) ?? 0) + 1);
      counts.set(pattern, wordings);
    }
  }
  return [...counts].flatMap(([sentence, wordings]) => {
    const questions = [...wordings]
      .filter(([, count]) => count > 1)
      .sort((a, b) => b[1] - a[1])
      .map(([wording]) => wording);
    if (questions.length === 0) return [];
    const source = escapeRegExp(sentence)
      .replaceAll(escapeRegExp(entityMark), String.raw`\w+`)
      .replace(escapeRegExp(valueMark), '(.+?)');
    return [{ sentence, matcher: new RegExp(`^${source}$`), questions }];
  });
}

function augment(passage: string, facts: readonly FactPattern[]): AugmentedPassage | undefined {
  const entity = /^# (\w+)/.exec(passage)?.[1];
  if (entity === undefined) return undefined;
  const found: { question: string; answer: string; fullAnswer: string; wording: number }[] = [];
  const rewritten = sentencesOf(passage).map((sentence) => {
    // documents say "It" where they name the subject nearby
    const named = sentence.replace(/^It /, `${entity} `);
    for (const pattern of facts) {
      const value = pattern.matcher.exec(named)?.[1];
      if (value === undefined) continue;
      pattern.questions.forEach((question, wording) =>
        found.push({
          question: question.replaceAll(entityMark, entity),
          answer: value,
          fullAnswer: named,
          wording,
        }),
      );
      return say(otherWording(pattern, facts), entity, value);
    }
    return sentence;
  });
  // every fact once before any fact in other words
  const chosen = found.toSorted((a, b) => a.wording - b.wording).slice(0, questionsPerPassage);
  if (chosen.length < questionsPerPassage) return undefined;
  const questionAnswers = chosen.map(({ question, answer, fullAnswer }): QuestionAnswer => ({
    question,
    answer,
    fullAnswer,
  }));
  return { passage, rewrite: rewritten.join('\n'), questionAnswers };
}

/** Another pattern that answers the same questions. */
function otherWording(pattern: FactPattern, facts: readonly FactPattern[]): string {
  const [first] = pattern.questions;
  const other = facts.find(
    ({ sentence, questions }) => sentence !== pattern.sentence && questions.includes(first!),
  );
  return (other ?? pattern).sentence;
}

function say(sentence: string, entity: string, value: string): string {
  return sentence.replaceAll(entityMark, entity).replaceAll(valueMark, value);
}

function sentencesOf(text: string): string[] {
  return text
    .split(/\n|(?<=[.!?])\s+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
