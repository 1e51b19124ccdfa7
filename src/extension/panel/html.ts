/** The page of the comparison panel. */
import { randomBytes } from 'node:crypto';

export interface PageParts {
  title: string;
  language: string;
  /** `webview.cspSource` */
  source: string;
  scriptUri: string;
  styleUri: string;
  /** Id of the page's main element. */
  mainId?: string;
}

/**
 * A page that can load its own script and style sheet and nothing else: no inline script, no eval, no network.
 * Inline styles are allowed because the toolkit's components set them.
 */
export function panelPage(parts: PageParts): string {
  const { title, language, source, scriptUri, styleUri, mainId = 'panel' } = parts;
  const nonce = randomBytes(16).toString('base64url');
  const policy = [
    `default-src 'none'`,
    `script-src 'nonce-${nonce}'`,
    `style-src ${source} 'unsafe-inline'`,
    `font-src ${source}`,
    `img-src ${source}`,
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="${escapeHtml(language)}">
<head>
  <meta charset="utf-8">
  <meta http-equiv="Content-Security-Policy" content="${policy}">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <link rel="stylesheet" href="${escapeHtml(styleUri)}">
  <title>${escapeHtml(title)}</title>
</head>
<body>
  <main id="${mainId}"></main>
  <script nonce="${nonce}" src="${escapeHtml(scriptUri)}"></script>
</body>
</html>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${String(character.charCodeAt(0))};`);
}
