/** A comparison as Markdown, for notes and issues. Text of documents and answers cannot become markup. */
import type { AnswerSettings } from '../../protocol/comparison.ts';
import type { PanelColumn, PanelPassage, PanelState } from '../../protocol/panel.ts';

/** The question, a table of the answers with their figures, and the passages that were ticked. */
export function comparisonMarkdown(state: PanelState): string {
  const model = state.models.find(({ id }) => id === state.inputs.model);
  const file = state.tokenFiles.find(({ path }) => path === state.inputs.tokenFile);
  const running = state.model.kind === 'ready' ? ` on ${state.model.device} (${state.model.precision})` : '';
  const lines = [
    `## ${escapeMarkdown(state.inputs.question)}`,
    '',
    `Model: ${escapeMarkdown(model?.name ?? state.inputs.model ?? 'none')}${running}. ` +
      (file
        ? `Embedding file: ${escapeMarkdown(file.name)} (${file.rows} x ${file.hiddenSize}).`
        : 'No embedding file.'),
    `Settings: ${settingsText(state.inputs.settings)}.`,
    '',
    '| Variant | Answer | Tokens | Time | Tokens/s |',
    '| --- | --- | ---: | ---: | ---: |',
    ...state.columns.map(row),
    '',
  ];
  const ticked = state.passages.filter((passage) => passage.ticked);
  if (ticked.length > 0) lines.push('### Passages', '', ...ticked.map(passageItem), '');
  return lines.join('\n');
}

function row(column: PanelColumn): string {
  const text =
    column.problem?.message ?? column.answer?.text ?? column.tokens.map((token) => token.text).join('');
  const figures = column.answer
    ? [
        String(column.answer.tokenIds.length),
        `${((column.answer.timings.prefillMs + column.answer.timings.decodeMs) / 1000).toFixed(2)} s`,
        column.answer.timings.decodeTokensPerSecond.toFixed(0),
      ]
    : [String(column.tokens.length), column.status, ''];
  return `| ${[escapeMarkdown(column.label), escapeMarkdown(text.trim()), ...figures].join(' | ')} |`;
}

function passageItem({ passage, origin }: PanelPassage, place: number): string {
  const lines =
    passage.startLine === undefined ? '' : `:${passage.startLine}-${passage.endLine ?? passage.startLine}`;
  const from = passage.path === undefined ? `(${origin})` : escapeMarkdown(`${passage.path}${lines}`);
  return `${place + 1}. ${from}: ${escapeMarkdown(passage.text.replace(/\s+/g, ' ').trim())}`;
}

/**
 * One line of text in which nothing is markup. Only what could be is escaped, so that names such as `eu-central-1` and
 * HARBOR_PORT stay as they are: marks of blocks at the start, underscores beside no word.
 */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/\s*\n\s*/g, ' ')
    .replace(/[\\`*[\]|~$]/g, '\\$&')
    .replace(/(?<![\p{Letter}\p{Number}])_|_(?![\p{Letter}\p{Number}])/gu, '\\_')
    .replace(/^(\s*)([-+#=])(?=[-+#=\s]|$)/, '$1\\$2')
    .replace(/^(\s*\d+)([.)])(?=\s|$)/, '$1\\$2')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;');
}

function settingsText({
  maxNewTokens,
  temperature = 0,
  topP,
  topK,
  repetitionPenalty,
  seed,
}: AnswerSettings): string {
  const parts = [
    `up to ${maxNewTokens} tokens`,
    temperature === 0 ? 'greedy (temperature 0)' : `temperature ${temperature}`,
    ...(topP === undefined ? [] : [`top p ${topP}`]),
    ...(topK === undefined ? [] : [`top k ${topK}`]),
    ...(repetitionPenalty === undefined ? [] : [`repetition penalty ${repetitionPenalty}`]),
    ...(temperature === 0 ? [] : [seed === undefined ? 'no seed' : `seed ${seed}`]),
  ];
  return parts.join(', ');
}
