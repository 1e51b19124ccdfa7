/** Examples for the chain-of-thought prompt, in the authors' file format (src/fewshot of oneal2000/PRAG). */
import { UserError } from '../protocol/errors.ts';

/**
 * The examples' text for a prompt, from a JSON list of `{question, answer}` whose answers reason and end with
 * "the answer is …".
 * @param where the file's name, for messages
 * @throws UserError if it is anything else
 */
export function fewShotText(json: unknown, where: string): string {
  if (!Array.isArray(json) || json.length === 0) {
    throw new UserError(`${where} must be a JSON list of examples, each with "question" and "answer".`);
  }
  return json
    .map((example: unknown, index) => {
      const { question, answer } = (example ?? {}) as Record<string, unknown>;
      if (typeof question !== 'string' || typeof answer !== 'string') {
        throw new UserError(`${where}: example ${index + 1} lacks the text "question" or "answer".`);
      }
      return `Question: ${question}\nAnswer: ${answer}\n\n`;
    })
    .join('');
}
