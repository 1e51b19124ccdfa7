import { Template } from '@huggingface/jinja';
import { messageOf, UserError } from '../protocol/errors.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/**
 * The day that templates see which write today's date into the prompt (Llama 3.2 and later): a fixed one, so that a
 * prompt is the same tomorrow. It is the day that Llama's template itself falls back to.
 */
const today = { d: '26', m: '07', b: 'Jul', B: 'July', y: '24', Y: '2024' } as const;

/**
 * A conversation as text, by the checkpoint's own chat template, ready for the assistant to go on. Tokenise it without
 * special tokens: the template writes them itself.
 * @param variables further ones that some templates know, such as `enable_thinking`
 * @returns undefined if the model has no chat template
 * @throws UserError if the template is broken or refuses the messages
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  variables: Readonly<Record<string, unknown>> = {},
): string | undefined {
  const { chatTemplate, specialTokens } = tokenizer;
  if (chatTemplate === undefined) return undefined;
  const tokens = Object.entries(specialTokens as Record<string, string>).map(
    ([role, text]) => [`${role}_token`, text] as const,
  );
  try {
    const template = parse(chatTemplate);
    // the library's own strftime_now tells the real day and cannot be given as a variable: it is replaced first
    template.parsed.body.unshift(...parse('{% set strftime_now = fixed_day %}').parsed.body);
    return template.render({
      ...variables,
      ...Object.fromEntries(tokens),
      messages,
      add_generation_prompt: true,
      date_string: `${today.d} ${today.b} ${today.Y}`,
      fixed_day: formatToday,
    });
  } catch (error) {
    throw new UserError(`The model's chat template cannot be used for this prompt: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The library's declarations import without file extensions, which TypeScript does not resolve for ES modules. */
interface ParsedTemplate {
  parsed: { body: unknown[] };
  render(variables: Record<string, unknown>): string;
}

function parse(template: string): ParsedTemplate {
  return new Template(template);
}

/** strftime of the fixed day, for the parts of a date. */
function formatToday(format: unknown): string {
  return String(format).replaceAll(/%([dmbByY])/g, (_, part: keyof typeof today) => today[part]);
}
