/** What a chat server says, whole or as a stream of events. */

const closing = '</think>';

interface Choice {
  message?: { content?: unknown };
  delta?: { content?: unknown };
}

/**
 * The assistant's text in the body of a chat completion. A server that streams although it was asked not to is read,
 * too. A refusal without text is an empty answer.
 * @returns undefined if it is no chat completion
 */
export function readChatAnswer(body: string): string | undefined {
  if (!/^\s*(data|event|id|retry)?:/.test(body)) return textOf(choiceOf(body)?.message?.content);
  let text: string | undefined;
  for (const line of body.split(/\r?\n/)) {
    const choice = line.startsWith('data:') ? choiceOf(line.slice('data:'.length)) : undefined;
    const piece = textOf((choice?.delta ?? choice?.message)?.content);
    if (piece !== undefined) text = (text ?? '') + piece;
  }
  return text;
}

function choiceOf(json: string): Choice | undefined {
  try {
    const { choices } = JSON.parse(json) as { choices?: Choice[] };
    return choices?.[0] ?? undefined;
  } catch {
    return undefined;
  }
}

/** Text, or a list of parts of which some are text. */
function textOf(content: unknown): string | undefined {
  if (content === null) return '';
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return undefined;
  const parts = content as ({ type?: unknown; text?: unknown } | null)[];
  return parts.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('');
}

/**
 * An answer without the thoughts that some models write before it; empty if they did not come to an end. The opening tag
 * may stand in the server's prompt and not in the answer: everything up to the first closing tag is thought, as vLLM and
 * SGLang read it (deepseek_r1 parsers).
 */
export function withoutThoughts(text: string): string {
  const end = text.indexOf(closing);
  if (end !== -1) return text.slice(end + closing.length).trim();
  return /^\s*<think>/.test(text) ? '' : text.trim();
}
