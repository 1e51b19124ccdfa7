/** The language-model tool `spring_search_documents`: other assistants search the index, with the user's consent. */
import * as vscode from 'vscode';
import { CancelledError } from '../../protocol/errors.ts';
import type { IndexService } from '../indexService.ts';
import { abortSignalOf } from './cancellation.ts';

interface SearchInput {
  query: string;
  count?: number;
}

/** The same limits as in the manifest's schema, which callers may ignore. */
const mostPassages = 10;
const longestQuery = 1000;

export function registerSearchTool(index: IndexService): vscode.Disposable {
  return vscode.lm.registerTool<SearchInput>('spring_search_documents', {
    prepareInvocation: ({ input }) => ({
      invocationMessage: vscode.l10n.t('Searching the workspace documents for "{0}"', short(input.query)),
      confirmationMessages: {
        title: vscode.l10n.t('Search the workspace documents?'),
        message: new vscode.MarkdownString().appendText(
          vscode.l10n.t(
            'Passages of your documents that match "{0}" are handed to the assistant that asks.',
            short(input.query),
          ),
        ),
      },
    }),
    invoke: async ({ input }, token) => {
      const query = typeof input.query === 'string' ? input.query.slice(0, longestQuery).trim() : '';
      if (query === '') throw new Error('The query is empty. Give a question or key words.');
      const count = Math.min(Math.max(1, Math.trunc(input.count ?? 5)), mostPassages);
      const signal = abortSignalOf(token);
      const state = await index.ensureIndexed(signal);
      if (signal.aborted) throw new CancelledError();
      if (state.kind !== 'ready') {
        throw new Error(
          'The documents of this workspace are not indexed. The user can run "SPRING: Index Workspace".',
        );
      }
      const hits = await index.search(query, count, signal);
      const passages = hits.map(({ path, startLine, endLine, score, titlePath, text }) =>
        JSON.stringify({ path, startLine, endLine, score, titlePath, text }),
      );
      return new vscode.LanguageModelToolResult([
        new vscode.LanguageModelTextPart(
          passages.length === 0
            ? 'No passage matches.'
            : `Passages, best first, one JSON each:\n${passages.join('\n')}`,
        ),
      ]);
    },
  });
}

function short(query: unknown): string {
  const text = String(query);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
