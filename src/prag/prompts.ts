/**
 * The prompts of Parametric RAG, word for word as in the authors' repository (oneal2000/PRAG, src/prompt_template.py):
 * what stands in them is part of the method, since adapters are trained and asked with the same words.
 */
import { renderChat } from '../checkpoint/chatTemplate.ts';
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import { UserError } from '../protocol/errors.ts';

export interface PragPromptParts {
  question: string;
  /** Texts of the passages in the prompt, if it shows any. */
  passages?: readonly string[];
  /** In training: what the assistant answers. Without it the prompt ends where the model's answer begins. */
  answer?: string | undefined;
  /** Examples of reasoning (see readFewShot): the model is then asked to think step by step. */
  fewShot?: string | undefined;
}

/** What the user says. */
export function userText({ question, passages = [], fewShot }: PragPromptParts): string {
  const references = passages.map((passage, index) => `Passage ${index + 1}: ${passage}\n`).join('');
  const asked = finishQuestion(question);
  if (fewShot === undefined) {
    return (
      'You should answer the question by referring to the knowledge provided below and integrating your own ' +
      `knowledge.\n${references}\n\nQuestion: ${asked}`
    );
  }
  return (
    'You should reference the knowledge provided below and combine it with your own knowledge to answer the ' +
    'question. Please follow the format of the example I provided above.\n' +
    `Here are some examples about how to answer the questions.\n${fewShot}Here are some reference.\n${references}` +
    "\n\nLet's think step by step. Answer the questions in the same format as above.\n" +
    `Question: ${asked}`
  );
}

/** How the assistant begins, up to the answer, or with it. */
export function assistantText({ answer, fewShot }: Pick<PragPromptParts, 'answer' | 'fewShot'>): string {
  const start = fewShot === undefined ? 'The answer is ' : 'Answer: ';
  return answer === undefined ? start : start + finishAnswer(answer);
}

/**
 * What the user says and how the assistant begins.
 * @throws UserError for an empty question
 */
export function askedText(parts: PragPromptParts): { user: string; assistant: string } {
  if (parts.question.trim() === '') throw new UserError('The question is empty: type what you want to know.');
  return { user: userText(parts), assistant: assistantText(parts) };
}

/**
 * Token ids of a prompt: the user's text in the model's chat template, then the assistant's beginning, tokenised by
 * itself. A model without a chat template gets the plain texts, a line break between them, and BOS as its tokenizer
 * adds it.
 * @returns `answerStart`: the index of the first token of the assistant's text; `text`: all of it, for people
 * @throws UserError for an empty question
 */
export function pragPrompt(
  tokenizer: Tokenizer,
  parts: PragPromptParts,
): { tokenIds: number[]; answerStart: number; text: string } {
  const { user, assistant } = askedText(parts);
  const chat = renderChat(tokenizer, [{ role: 'user', content: user }]);
  const asked =
    chat === undefined ? tokenizer.encode(`${user}\n`) : tokenizer.encode(chat, { addSpecialTokens: false });
  const answered = tokenizer.encode(assistant, { addSpecialTokens: false });
  const text = (chat ?? `${user}\n`) + assistant;
  return { tokenIds: [...asked, ...answered], answerStart: asked.length, text };
}

/** Ends with one question mark, no space before it. */
export function finishQuestion(question: string): string {
  const trimmed = question.trim();
  if (!trimmed.endsWith('?')) return `${trimmed}?`;
  return trimmed.endsWith(' ?') ? `${trimmed.slice(0, -1).trim()}?` : trimmed;
}

function finishAnswer(answer: string): string {
  const trimmed = answer.trim();
  return trimmed.endsWith('.') ? trimmed : `${trimmed}.`;
}

/** What the model is asked to make of a passage: another wording. */
export function rewritePrompt(passage: string): string {
  return (
    'Rewrite the following passage. While keeping the entities, proper nouns, and key details such as names, ' +
    'locations, and terminology intact, create a new version of the text that expresses the same ideas in a ' +
    'different way. Make sure the revised passage is distinct from the original one, but preserves the core ' +
    `meaning and relevant information.\n${passage}`
  );
}

/** What the model is asked to make of a passage: questions and answers. The missing comma is the authors'. */
export function questionAnswerPrompt(passage: string): string {
  return (
    'I will provide a passage of text, and you need to generate three different questions based on the content of ' +
    'this passage. Each question should be answerable using the information provided in the passage. ' +
    'Additionally, please provide an appropriate answer for each question derived from the passage.\n' +
    'You need to generate the question and answer in the following format:\n' +
    '[\n' +
    '    {\n' +
    '        "question": "What is the capital of France?",\n' +
    '        "answer": "Paris"\n' +
    '        "full_answer": "The capital of France is Paris."\n' +
    '    }, \n' +
    ']\n\n' +
    'This list should have at least three elements. You only need to output this list in the above format.\n' +
    'Passage:\n' +
    passage
  );
}
