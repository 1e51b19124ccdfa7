/** Conversations as text, by the chat template of a model. */
import { reasonOf, UserError } from '../protocol/errors.ts';
import { renderTemplate } from './templateInterpreter.ts';
import type { Tokenizer } from './tokenizer.ts';
import { withinTime } from './withinTime.ts';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/**
 * The day that templates see which write today's date into the prompt (Llama 3.2 and later): a fixed one, so that a
 * prompt is the same tomorrow. It is the day that Llama's template itself falls back to: Friday, 26 July 2024, at
 * midnight. By the letters of strftime; a naive time has no zone.
 */
const today: Readonly<Record<string, string>> = {
  ...{ Y: '2024', C: '20', y: '24', G: '2024', g: '24', m: '07', d: '26', e: '26', j: '208' },
  ...{ B: 'July', b: 'Jul', h: 'Jul', A: 'Friday', a: 'Fri', u: '5', w: '5', U: '29', W: '30', V: '30' },
  ...{ H: '00', k: ' 0', I: '12', l: '12', M: '00', S: '00', f: '000000', p: 'AM', P: 'am', z: '', Z: '' },
  ...{ c: 'Fri Jul 26 00:00:00 2024', x: '07/26/24', D: '07/26/24', F: '2024-07-26' },
  ...{ X: '00:00:00', T: '00:00:00', R: '00:00', r: '12:00:00 AM', n: '\n', t: '\t', '%': '%' },
};

/** Real templates take some milliseconds. */
const renderingMs = 2000;

/**
 * A conversation as text, by the checkpoint's own chat template, ready for the assistant to go on. Tokenise it without
 * special tokens: the template writes them itself.
 * @param variables further ones that some templates know, such as `enable_thinking`
 * @returns undefined if the model has no chat template
 * @throws UserError if the template is broken, refuses the messages, or does not come to an end
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
    return withinTime(renderingMs, 'The chat template of this model', () =>
      renderTemplate(chatTemplate, {
        // as transformers does: None where none are given
        tools: null,
        documents: null,
        ...variables,
        ...Object.fromEntries(tokens),
        messages,
        add_generation_prompt: true,
        date_string: `${today['d']} ${today['b']} ${today['Y']}`,
        strftime_now: formatToday,
      }),
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`The model's chat template cannot be used for this prompt: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** strftime of the fixed day; what is no directive stays as it is. */
function formatToday(format: unknown): string {
  return String(format).replaceAll(/%([-_0^]?)([A-Za-z%])/g, (directive, flag: string, letter: string) => {
    const text = Object.hasOwn(today, letter) ? today[letter]! : directive;
    if (text === directive) return text;
    if (flag === '-') return text.replace(/^[0 ]+(?=.)/, '');
    if (flag === '_') return text.replace(/^0+(?=.)/, (zeros) => ' '.repeat(zeros.length));
    if (flag === '0') return text.replaceAll(' ', /^ ?\d+$/.test(text) ? '0' : ' ');
    return flag === '^' ? text.toUpperCase() : text;
  });
}
