import { UserError } from '../protocol/errors.ts';
import { isJsonObject } from './files.ts';
import type { JsonObject } from './files.ts';

/**
 * Typed access to the fields of a configuration file; null and absent are the same, as in transformers.
 * Every method throws a UserError that names the file and the field.
 */
export class ConfigReader {
  readonly #json: JsonObject;
  readonly where: string;

  /** @param where the file's name for messages */
  constructor(json: JsonObject, where: string) {
    this.#json = json;
    this.where = where;
  }

  has(key: string): boolean {
    return (this.#json[key] ?? null) !== null;
  }

  /** Whether the key is not there at all: some fields give null a meaning of its own. */
  isAbsent(key: string): boolean {
    return !Object.hasOwn(this.#json, key);
  }

  raw(key: string): unknown {
    return this.#json[key] ?? undefined;
  }

  error(key: string, expected: string): UserError {
    const found = this.has(key) ? `"${key}" is ${JSON.stringify(this.#json[key])}` : `"${key}" is missing`;
    return new UserError(`${this.where}: ${found}; expected ${expected}.`);
  }

  #get(key: string, fallback: unknown): unknown {
    return this.raw(key) ?? fallback;
  }

  positiveInteger(key: string, fallback?: number): number {
    const value = this.#get(key, fallback);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= 0) {
      throw this.error(key, 'a positive whole number');
    }
    return value;
  }

  nonNegativeInteger(key: string, fallback?: number): number {
    return this.#get(key, fallback) === 0 ? 0 : this.positiveInteger(key, fallback);
  }

  positiveNumber(key: string, fallback?: number): number {
    const value = this.#get(key, fallback);
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
      throw this.error(key, 'a positive number');
    }
    return value;
  }

  optionalPositiveNumber(key: string): number | undefined {
    return this.has(key) ? this.positiveNumber(key) : undefined;
  }

  optionalPositiveInteger(key: string): number | undefined {
    return this.has(key) ? this.positiveInteger(key) : undefined;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#get(key, fallback);
    if (typeof value !== 'boolean') throw this.error(key, 'true or false');
    return value;
  }

  string(key: string, fallback?: string): string {
    const value = this.#get(key, fallback);
    if (typeof value !== 'string') throw this.error(key, 'a text');
    return value;
  }

  stringList(key: string): string[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw this.error(key, 'a list of texts');
    }
    return value;
  }

  positiveNumberList(key: string): number[] {
    const value = this.raw(key);
    const isFactor = (item: unknown): item is number =>
      typeof item === 'number' && Number.isFinite(item) && item > 0;
    if (!Array.isArray(value) || !value.every(isFactor)) throw this.error(key, 'a list of positive numbers');
    return value;
  }

  object(key: string): JsonObject | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!isJsonObject(value)) throw this.error(key, 'an object');
    return value;
  }

  /** Reads an object's own fields; absent, it has none. */
  reader(key: string): ConfigReader {
    return new ConfigReader(this.object(key) ?? {}, `${this.where}, ${key}`);
  }

  /** A list of at least `count` ones and zeros, cut to that length. */
  flagList(key: string, count: number): boolean[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length < count || !value.every((item) => item === 0 || item === 1)) {
      throw this.error(key, `a list of ${count} ones and zeros, one for each layer`);
    }
    return value.slice(0, count).map((item) => item === 1);
  }

  /** Token ids written as one number, a list, or not at all. */
  tokenIds(key: string): number[] {
    const value = this.raw(key);
    if (value === undefined) return [];
    const isId = (item: unknown): item is number =>
      typeof item === 'number' && Number.isSafeInteger(item) && item >= 0;
    const list: unknown[] = Array.isArray(value) ? value : [value];
    // Some configurations say -1 for "none".
    const ids = list.filter((item) => item !== -1);
    if (!ids.every(isId)) throw this.error(key, 'a token id or a list of token ids');
    return ids;
  }
}
