/**
 * Files that this software wrote itself (records, runs, stores) are read as if anybody had written them: each has a
 * schema, and nothing of it is used before all of it has been checked.
 */
import * as v from 'valibot';
import { messageOf, UserError } from './errors.ts';

/** A whole number, 0 or more. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const finite = v.pipe(v.number(), v.finite());
/** A finite number, 0 or more. */
export const size = v.pipe(finite, v.minValue(0));
/** Names, paths, hashes, dates. */
export const shortText = v.pipe(v.string(), v.maxLength(4096));
/** Questions, passages, prompts, answers. */
export const longText = v.pipe(v.string(), v.maxLength(10_000_000));

/** A list of no more entries than any real file has. */
export function listOf<const Item extends v.GenericSchema>(
  item: Item,
  most: number,
): v.SchemaWithPipe<
  readonly [v.ArraySchema<Item, undefined>, v.MaxLengthAction<v.InferOutput<Item>[], number, undefined>]
> {
  return v.pipe(v.array(item), v.maxLength(most));
}

/**
 * The value, if the schema holds for it.
 * @param where names the file, for the message
 * @throws UserError that names the field, what it should be and what was found
 */
export function validated<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  where: string,
): v.InferOutput<Schema> {
  const problem = problemOf(schema, value);
  if (problem !== undefined) throw new UserError(`${where}: ${problem}`);
  return value;
}

/** What is wrong with a value, in one sentence; undefined: nothing. */
export function problemOf(schema: v.GenericSchema, value: unknown): string | undefined {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return undefined;
  const [issue] = result.issues;
  const field = v.getDotPath(issue);
  if (field !== null && issue.received === 'undefined') return `"${field}" is missing.`;
  const expected = issue.expected === null ? issue.message : `expected ${inWords(issue.expected)}`;
  return `${field === null ? 'it' : `"${field}"`} is not as it should be (${expected}, found ${inWords(issue.received)}).`;
}

const words: Readonly<Record<string, string>> = {
  ...{ Array: 'a list', Object: 'an object', string: 'a text', number: 'a number' },
  boolean: 'true or false',
};

function inWords(type: string): string {
  return words[type] ?? type;
}

/**
 * The value that a JSON text holds, checked.
 * @throws UserError
 */
export function parseValidated<Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  where: string,
): v.InferOutput<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${where} is not valid JSON (${messageOf(error)}).`);
  }
  return validated(schema, value, where);
}
