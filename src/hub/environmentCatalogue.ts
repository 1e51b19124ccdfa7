import { readFileSync } from 'node:fs';
import { messageOf, UserError } from '../protocol/errors.ts';
import { loadCatalogue } from './catalogue.ts';
import type { Catalogue } from './types.ts';

/**
 * The catalogue with the entries of the JSON file that `SPRING_MODELS` names (a list of entries): how users of the
 * command line add models, and how the extension gives its settings to the engine processes.
 *
 * @throws UserError if the file or an entry is wrong
 */
export function environmentCatalogue(): Catalogue {
  const file = process.env['SPRING_MODELS'];
  if (file === undefined || file === '') return loadCatalogue();
  let entries: unknown;
  try {
    entries = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UserError(`SPRING_MODELS names ${file}, which cannot be read: ${messageOf(error)}`);
  }
  if (!Array.isArray(entries)) {
    throw new UserError(`SPRING_MODELS names ${file}: it must hold a JSON list of models.`);
  }
  return loadCatalogue(entries);
}
