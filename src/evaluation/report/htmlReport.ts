/** An experiment as one HTML file that needs nothing else: settings, table, charts, answers side by side. */
import type { Condition } from '../conditions.ts';
import { conditionKey } from '../conditions.ts';
import type { Prediction } from '../predictions.ts';
import type { PassageQuality } from '../retrieval.ts';
import type { Interval } from '../statistics/bootstrap.ts';
import type { PairedComparison } from '../statistics/pairedComparison.ts';
import type { ConditionSummary } from '../summary.ts';
import { barChart, escapeHtml, lineChart, type Bar, type Line } from './charts.ts';
import { comparisonCells, comparisonNote, comparisonTitles } from './comparisonTable.ts';
import { percent } from './textTable.ts';

/** Questions whose answers are shown; the file of predictions has all. */
const shownQuestions = 200;

export interface ReportInput {
  title: string;
  /** What was run, as rows of a table. */
  settings: Readonly<Record<string, string>>;
  conditions: readonly Condition[];
  summaries: readonly ConditionSummary[];
  comparisons: readonly PairedComparison[];
  retrieval: readonly PassageQuality[];
  predictions: readonly Prediction[];
}

/** The report's HTML text. Text of questions and answers is escaped; there are no scripts and no links. */
export function htmlReport(input: ReportInput): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(input.title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(input.title)}</h1>
${settingsTable(input.settings)}
<h2>Scores</h2>
${scoreTable(input.summaries)}
<p class="note">EM: exact match; F1, precision and recall over words; accuracy: a gold answer stands in the answer (definitions of
FlashRAG). Intervals are at 95 %: Wilson's of exact match and accuracy, by a bootstrap over the questions of the others. They are
those of each variant alone; whether two variants differ is in the next table.</p>
${comparisonSection(input.comparisons)}
${retrievalSection(input.retrieval)}
<div class="charts">${charts(input.summaries).join('\n')}</div>
<h2>Answers</h2>
${answerTable(input)}
</body>
</html>
`;
}

/** The charts that the conditions call for: over k, over passages, and bars. */
export function charts(summaries: readonly ConditionSummary[]): string[] {
  const isSpring = ({ id }: ConditionSummary): boolean => /^(spring:\d+|baseline)$/.test(id);
  return [
    ...metrics.flatMap(({ name, value }) => {
      const byTokens = linesOf(summaries.filter(isSpring), passagesText, ({ k }) => k, value);
      const byPassages = linesOf(
        summaries,
        ({ id }) => id,
        ({ passages }) => passages,
        value,
      );
      return [
        ...(byTokens.length > 0
          ? [lineChart(`${name} % by virtual tokens (0: baseline)`, 'k', byTokens)]
          : []),
        ...(byPassages.length > 0 ? [lineChart(`${name} % by passages`, 'passages', byPassages)] : []),
      ];
    }),
    barChart(
      'Exact match, F1 and accuracy, %',
      summaries.map((summary) => ({ name: nameOf(summary, summaries), values: barsOf(summary) })),
    ),
  ];
}

/** What lines are drawn of. */
const metrics: readonly {
  name: string;
  value: (summary: ConditionSummary) => { y: number; interval: Interval };
}[] = [
  { name: 'Exact match', value: ({ exactMatch: y, exactMatchInterval: interval }) => ({ y, interval }) },
  { name: 'F1', value: ({ f1: y, f1Interval: interval }) => ({ y, interval }) },
];

/** Lines of at least two points; the same x twice (baseline and spring:0) counts once. */
function linesOf(
  summaries: readonly ConditionSummary[],
  nameOfLine: (summary: ConditionSummary) => string,
  x: (summary: ConditionSummary) => number,
  value: (summary: ConditionSummary) => { y: number; interval: Interval },
): Line[] {
  return [...Map.groupBy(summaries, nameOfLine)]
    .map(([name, group]) => {
      const values = new Map(group.map((summary) => [x(summary), value(summary)]));
      const points = [...values].map(([at, point]) => ({ x: at, ...point })).sort((a, b) => a.x - b.x);
      return { name, points };
    })
    .filter(({ points }) => points.length > 1);
}

function barsOf(summary: ConditionSummary): Bar['values'] {
  return [
    { series: 'EM', value: summary.exactMatch, interval: summary.exactMatchInterval },
    { series: 'F1', value: summary.f1, interval: summary.f1Interval },
    { series: 'accuracy', value: summary.accuracy, interval: summary.accuracyInterval },
  ];
}

function passagesText({ passages }: Pick<ConditionSummary, 'passages'>): string {
  return `${passages} ${passages === 1 ? 'passage' : 'passages'}`;
}

/** A condition's name, as in paired comparisons; the number of passages where a variant has several. */
function nameOf(
  { id, passages }: Pick<ConditionSummary, 'id' | 'passages'>,
  all: readonly ConditionSummary[],
): string {
  return all.filter((other) => other.id === id).length > 1 ? `${id}/${passages}p` : id;
}

function settingsTable(settings: Readonly<Record<string, string>>): string {
  const rows = Object.entries(settings).map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<table class="settings">${rows.join('')}</table>`;
}

function scoreTable(summaries: readonly ConditionSummary[]): string {
  const score = (value: number, interval: Interval): string =>
    `${percent(value)} (${interval.map(percent).join('–')})`;
  const titles = ['Variant', 'k', 'Passages', 'Items', 'EM %', 'F1 %', 'Precision %', 'Recall %'];
  titles.push('Accuracy %', 'Answer tokens', 'Prompt tokens');
  const rows = summaries.map((row) => [
    row.id,
    String(row.k),
    String(row.passages),
    String(row.items),
    score(row.exactMatch, row.exactMatchInterval),
    score(row.f1, row.f1Interval),
    score(row.precision, row.precisionInterval),
    score(row.recall, row.recallInterval),
    score(row.accuracy, row.accuracyInterval),
    row.meanAnswerTokens.toFixed(1),
    row.meanPromptTokens.toFixed(0),
  ]);
  return table('scores', titles, rows);
}

function comparisonSection(comparisons: readonly PairedComparison[]): string {
  if (comparisons.length === 0) return '';
  return `<h2>Paired comparisons</h2>
${table('comparisons', comparisonTitles, comparisons.map(comparisonCells))}
<p class="note">${escapeHtml(comparisonNote)}</p>`;
}

function retrievalSection(retrieval: readonly PassageQuality[]): string {
  if (retrieval.length === 0) return '';
  const rows = retrieval.map(({ passages, answerRecall, answerPrecision }) => [
    String(passages),
    percent(answerRecall),
    percent(answerPrecision),
  ]);
  return `<h2>Passages</h2>
${table('passages', ['Passages', 'Recall %', 'Precision %'], rows)}
<p class="note">Recall: questions with a gold answer in a passage; precision: passages with one, mean over the questions
(FlashRAG's retrieval_recall and retrieval_precision).</p>`;
}

function table(name: string, titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = titles.map((title) => `<th scope="col">${escapeHtml(title)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`);
  return `<table class="${name}"><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table>`;
}

function answerTable({ conditions, summaries, predictions }: ReportInput): string {
  const byItem = Map.groupBy(predictions, ({ item }) => item);
  const names = conditions.map(({ variant, passages }) => nameOf({ id: variant, passages }, summaries));
  const rows = [...byItem.values()].slice(0, shownQuestions).map((group) => {
    const { question, goldAnswers } = group[0]!;
    const answers = new Map(group.map((prediction) => [conditionKey(prediction), prediction]));
    const cells = conditions.map((condition) => {
      const answer = answers.get(conditionKey(condition));
      if (!answer) return '<td></td>';
      const right = answer.exactMatch === 1;
      return `<td class="${right ? 'right' : ''}">${right ? '✓ ' : ''}${escapeHtml(answer.prediction)}</td>`;
    });
    const head = `<th scope="row">${escapeHtml(question)}</th><td>${escapeHtml(goldAnswers.join(' | '))}</td>`;
    return `<tr>${head}${cells.join('')}</tr>`;
  });
  const titles = ['Question', 'Gold', ...names].map((name) => `<th scope="col">${escapeHtml(name)}</th>`);
  const more =
    byItem.size > shownQuestions ? `<p class="note">The first ${shownQuestions} of ${byItem.size}.</p>` : '';
  return `<table><thead><tr>${titles.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>${more}`;
}

const style = `
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid #8884; overflow-wrap: break-word; max-width: 20rem; }
.scores td:nth-child(n+2), .comparisons td:nth-child(n+4) { text-align: right; white-space: nowrap; }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { margin: 0; flex: 1 1 28rem; max-width: 40rem; }
figcaption { font-weight: 600; margin-top: 1rem; } svg { width: 100%; overflow: visible; font: 11px system-ui, sans-serif; } svg text { fill: currentColor; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0; margin: 0; }
.key span { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; }
.right { background: #2a82; } .note { color: #595959; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b; } .note { color: #a0a0a0; } }
`;
