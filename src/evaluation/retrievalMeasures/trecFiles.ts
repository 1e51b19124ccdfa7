/** TREC's files of relevance judgements (qrels) and of rankings (runs): a line each, fields between white space. */
import { readTextFile } from '../../checkpoint/textFile.ts';
import { UserError } from '../../protocol/errors.ts';

/** By question, by document: 1 and more is relevant, 0 and less is not. */
export type Judgements = Map<string, Map<string, number>>;

export interface RankedDocument {
  document: string;
  score: number;
}

/** By question; the order of the documents says nothing, their scores do. */
export type Rankings = Map<string, RankedDocument[]>;

interface Line {
  fields: string[];
  /** File and line, for messages. */
  where: string;
}

/**
 * Reads lines `question iteration document relevance`.
 * @throws UserError that names the line that is wrong
 */
export async function readJudgements(file: string): Promise<Judgements> {
  const judgements: Judgements = new Map();
  for (const { fields, where } of await readLines(file, 4, 4, 'question iteration document relevance')) {
    const [question, , document, relevance] = fields as [string, string, string, string];
    if (!/^[+-]?\d{1,9}$/.test(relevance)) {
      throw new UserError(`${where}: the relevance must be a whole number, not "${relevance}".`);
    }
    const ofQuestion = judgements.get(question) ?? new Map<string, number>();
    judgements.set(question, ofQuestion);
    if (ofQuestion.has(document)) throw repeated(where, question, document);
    ofQuestion.set(document, Number(relevance));
  }
  return judgements;
}

/**
 * Reads lines `question Q0 document rank score name`. Ranks are read over: the scores say the order.
 * @throws UserError that names the line that is wrong
 */
export async function readRun(file: string): Promise<Rankings> {
  const rankings: Rankings = new Map();
  const seen = new Map<string, Set<string>>();
  for (const { fields, where } of await readLines(
    file,
    6,
    Infinity,
    'question Q0 document rank score name',
  )) {
    const [question, , document, , scoreText] = fields as [string, string, string, string, string];
    const score = Number(scoreText);
    if (!Number.isFinite(score)) {
      throw new UserError(`${where}: the score must be a number, not "${scoreText}".`);
    }
    const ranking = rankings.get(question) ?? [];
    rankings.set(question, ranking);
    const documents = seen.get(question) ?? new Set();
    seen.set(question, documents);
    if (documents.has(document)) throw repeated(where, question, document);
    documents.add(document);
    ranking.push({ document, score });
  }
  return rankings;
}

/**
 * The text of a run file. White space in ids, which separates fields there, becomes `_`.
 * @param name of the run: what retrieved
 */
export function runText(rankings: Rankings, name: string): string {
  return [...rankings]
    .flatMap(([question, ranking]) =>
      ranking.map(({ document, score }, index) =>
        [question, 'Q0', document, String(index + 1), String(score), name].map(field).join(' '),
      ),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function field(text: string): string {
  return text.replaceAll(/\s+/gu, '_') || '_';
}

function repeated(where: string, question: string, document: string): UserError {
  return new UserError(`${where}: the document ${document} stands twice for the question ${question}.`);
}

/** As trec_eval reads them: a run may have more fields, which say nothing. */
async function readLines(file: string, least: number, most: number, format: string): Promise<Line[]> {
  const { text } = await readTextFile(file);
  const lines = text
    .split('\n')
    .map((line, index) => ({ text: line.trim(), where: `${file}, line ${index + 1}` }))
    .filter((line) => line.text !== '' && !line.text.startsWith('#'))
    .map(({ text: line, where }) => ({ fields: line.split(/\s+/), where }));
  if (lines.length === 0) throw new UserError(`${file} holds no lines: expected "${format}".`);
  const wrong = lines.find(({ fields }) => fields.length < least || fields.length > most);
  if (wrong) {
    throw new UserError(
      `${wrong.where} has ${wrong.fields.length} fields: expected ${least}, "${format}", with white space between.`,
    );
  }
  return lines;
}
