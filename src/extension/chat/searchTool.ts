/** The language-model tool `spring_search_documents`: other assistants search the index, with the user's consent. */
import * as vscode from 'vscode';
import type { IndexState } from '../../protocol/panel.ts';
import { plain } from '../harmless.ts';
import type { IndexService } from '../indexService.ts';
import { markdownText } from '../show.ts';
import { abortSignalOf } from './cancellation.ts';

/** As the manifest's schema describes it; callers may ignore that. */
interface SearchInput {
  query: unknown;
  count?: unknown;
}

const defaultPassages = 5;
const mostPassages = 10;
const longestQuery = 1000;

export function registerSearchTool(index: IndexService): vscode.Disposable {
  return vscode.lm.registerTool<SearchInput>('spring_search_documents', {
    prepareInvocation: ({ input }) => ({
      invocationMessage: markdownText(
        vscode.l10n.t('Searching the workspace documents for "{0}"', short(input.query)),
      ),
      confirmationMessages: {
        title: vscode.l10n.t('Search the workspace documents?'),
        message: markdownText(
          vscode.l10n.t(
            'Passages of your documents that match "{0}" are handed to the assistant that asks.',
            short(input.query),
          ),
        ),
      },
    }),
    invoke: async ({ input, tokenizationOptions }, token) => {
      const query = typeof input.query === 'string' ? input.query.slice(0, longestQuery).trim() : '';
      if (query === '') throw new Error('The query is empty. Give a question or key words.');
      const count = Math.min(Math.max(1, Math.trunc(Number(input.count)) || defaultPassages), mostPassages);
      const signal = abortSignalOf(token);
      const state = await index.ensureIndexed(signal);
      if (state.kind !== 'ready') throw new Error(plain(whatIsMissing(state)));
      const hits = await index.search(query, count, signal);
      const passages = hits.map(({ path, startLine, endLine, score, titlePath, text }) =>
        JSON.stringify({ path, startLine, endLine, score, titlePath, text }),
      );
      const text = await withinBudget(passages, tokenizationOptions, token);
      return new vscode.LanguageModelToolResult([new vscode.LanguageModelTextPart(text)]);
    },
  });
}

function whatIsMissing(state: IndexState): string {
  if (state.kind === 'failed') return `The documents of this workspace cannot be searched: ${state.message}`;
  return 'The documents of this workspace are not indexed. The user can run "SPRING: Index Workspace".';
}

/** The reply, without the last passages if it would be longer than the caller can use. */
async function withinBudget(
  passages: readonly string[],
  options: vscode.LanguageModelToolTokenizationOptions | undefined,
  token: vscode.CancellationToken,
): Promise<string> {
  if (passages.length === 0) return 'No passage matches.';
  for (let shown = passages.length; shown > 0; shown--) {
    const text = ['Passages, best first, one JSON each:', ...passages.slice(0, shown)].join('\n');
    if (!options || (await options.countTokens(text, token)) <= options.tokenBudget) return text;
  }
  return 'Passages match, but not even the best one fits into the number of tokens allowed.';
}

function short(query: unknown): string {
  const text = String(query);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
