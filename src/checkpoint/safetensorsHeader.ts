import { UserError } from '../protocol/errors.ts';
import { bytesPerElement, isSafetensorsType } from './elementTypes.ts';
import { isJsonObject } from './files.ts';
import type { SafetensorsType } from './types.ts';

/** One entry of a safetensors header; `begin` and `end` count from the end of the header. */
export interface HeaderEntry {
  name: string;
  dtype: SafetensorsType;
  shape: number[];
  begin: number;
  end: number;
}

export interface ParsedHeader {
  entries: HeaderEntry[];
  metadata: Record<string, string>;
}

/**
 * Parses and checks the JSON header of a safetensors file: every entry's type, shape and length agree; the
 * tensors cover the data without overlap, gap or rest, as the format demands.
 *
 * @param text the header's JSON
 * @param dataBytes bytes of the file behind the header
 * @param file name for messages
 * @throws UserError that names the tensor and what is wrong
 */
export function parseSafetensorsHeader(text: string, dataBytes: number, file: string): ParsedHeader {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw broken(file, 'its header is not valid JSON');
  }
  if (!isJsonObject(json)) throw broken(file, 'its header is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw broken(file, `its header names "${repeated}" twice`);

  const entries: HeaderEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') metadata = parseMetadata(value, file);
    else entries.push(parseEntry(name, value, file));
  }
  checkCover(entries, dataBytes, file);
  return { entries, metadata };
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (!isJsonObject(value)) throw broken(file, 'its __metadata__ is not an object');
  const metadata: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw broken(file, `its __metadata__ entry "${key}" is not text`);
    metadata[key] = text;
  }
  return metadata;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parseEntry(name: string, value: unknown, file: string): HeaderEntry {
  if (!isJsonObject(value)) throw broken(file, `the entry of tensor "${name}" is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsType(dtype)) {
    throw broken(file, `tensor "${name}" has the unknown element type ${JSON.stringify(dtype)}`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw broken(file, `tensor "${name}" has the impossible shape ${JSON.stringify(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw broken(file, `tensor "${name}" has the impossible data_offsets ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
  if (end - begin !== expected) {
    throw broken(
      file,
      `tensor "${name}" of type ${dtype} and shape [${shape.join(', ')}] needs ${expected} bytes, ` +
        `its data_offsets [${begin}, ${end}] hold ${end - begin}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

/** The tensors, in the order of their offsets, must follow each other from 0 to the end of the data. */
function checkCover(entries: readonly HeaderEntry[], dataBytes: number, file: string): void {
  const ordered = entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  let previous = '';
  for (const entry of ordered) {
    if (entry.begin < end) throw broken(file, `tensors "${previous}" and "${entry.name}" overlap`);
    if (entry.begin > end) {
      throw broken(file, `there is a gap of ${entry.begin - end} bytes before tensor "${entry.name}"`);
    }
    end = entry.end;
    previous = entry.name;
  }
  if (end > dataBytes) {
    const first = ordered.find((entry) => entry.end > dataBytes);
    throw new UserError(
      `${file} is incomplete: its header describes ${end} bytes of tensors, the file holds ${dataBytes} ` +
        `(tensor "${first?.name}" is cut off or missing). Download it again.`,
    );
  }
  if (end < dataBytes) throw broken(file, `${dataBytes - end} bytes follow the last tensor`);
}

function broken(file: string, what: string): UserError {
  return new UserError(`${file} is not a valid safetensors file: ${what}. Download it again.`);
}

/**
 * The first key that the outermost object of a valid JSON text has twice; JSON.parse would keep the last silently.
 */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    const token = match[0];
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && match[1] !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - match[1].length)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}
