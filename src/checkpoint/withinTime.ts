/** Work whose steps a file decides (its regular expressions, its template) and that may therefore never end. */
import { createContext, Script } from 'node:vm';
import { UserError } from '../protocol/errors.ts';

const script = new Script('work()');
const context = createContext({});

/**
 * Does synchronous work and ends it where it stands when its time is over, inside a regular expression, too. The engine
 * of JavaScript offers that for scripts, so a script of one call does the work. It costs about 0.1 ms.
 *
 * @param what the subject of the message: "The chat template of M"
 * @throws UserError when the time is over; what the work throws
 */
export function withinTime<Result>(milliseconds: number, what: string, work: () => Result): Result {
  let result: { value: Result } | undefined;
  // The script takes the work at once, so that work within work changes nothing.
  context['work'] = () => {
    result = { value: work() };
  };
  try {
    script.runInContext(context, { timeout: milliseconds });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new UserError(
      `${what} does not come to an end (stopped after ${milliseconds / 1000} s): the file may be damaged or made to ` +
        'hang; take another copy of the model.',
    );
  }
  return result!.value;
}
