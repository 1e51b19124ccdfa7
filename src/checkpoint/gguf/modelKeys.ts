/** Metadata of a GGUF file's model: keys that begin with the architecture's name. */
import { readRows } from '../tensorRows.ts';
import { isFloatType } from '../elementTypes.ts';
import { UserError } from '../../protocol/errors.ts';
import type { GgufFile } from './file.ts';

/** Access to `ARCHITECTURE.key` by `key`, and to the small tensors that belong to the configuration. */
export class ModelKeys {
  readonly file: GgufFile;
  readonly architecture: string;

  constructor(file: GgufFile, architecture: string) {
    this.file = file;
    this.architecture = architecture;
  }

  full(key: string): string {
    return `${this.architecture}.${key}`;
  }

  has(key: string): boolean {
    return this.file.metadata.has(this.full(key));
  }

  error(key: string, expected: string): UserError {
    return this.file.metadata.error(this.full(key), expected);
  }

  /** A whole number from 1 to `most`; `fallback` where the key is absent, an error where there is none. */
  size(key: string, most: number, fallback?: number): number {
    if (fallback !== undefined && !this.has(key)) return fallback;
    return this.file.metadata.integerIn(this.full(key), 1, most);
  }

  /** A number above 0; `fallback` where the key is absent, an error where there is none. */
  positive(key: string, fallback?: number): number {
    if (fallback !== undefined && !this.has(key)) return fallback;
    const value = this.file.metadata.number(this.full(key));
    if (value <= 0) throw this.error(key, 'a number above 0');
    return value;
  }

  /** The same; 0 means that the key is not set, as it does in llama.cpp. */
  positiveOrUnset(key: string, fallback: number): number {
    return this.file.metadata.number(this.full(key), 0) === 0 ? fallback : this.positive(key);
  }

  /**
   * The values of a small tensor, such as `rope_freqs.weight`; undefined if the file has none.
   * @throws UserError unless these are `count` numbers above 0
   */
  async factors(name: string, count: number): Promise<number[] | undefined> {
    const tensor = this.file.tensors.get(name);
    if (!tensor) return undefined;
    const found = `${this.file.path}: tensor "${name}"`;
    if (!isFloatType(tensor.dtype) || tensor.shape.length !== 1 || tensor.shape[0] !== count) {
      throw new UserError(
        `${found} is of type ${tensor.dtype} and shape [${tensor.shape.join(', ')}]; expected ${count} float ` +
          'numbers, half the rotated dimensions of a head.',
      );
    }
    const values = [...(await readRows(tensor, 0, 1))];
    if (values.every((value) => Number.isFinite(value) && value > 0)) return values;
    throw new UserError(`${found} holds factors that are not above 0. Download the model again.`);
  }
}
