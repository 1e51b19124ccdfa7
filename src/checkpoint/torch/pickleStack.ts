import { PickleError, PickleMap } from './pickleValues.ts';
import type { PickleValue } from './pickleValues.ts';

/** Bound far above what real files need. */
const maximumStack = 100_000;

/** The working memory of a pickle machine: a stack cut into sections by marks, and the memo of values to reuse. */
export class PickleStack {
  #section: PickleValue[] = [];
  readonly #below: PickleValue[][] = [];
  readonly #memo = new Map<number, PickleValue>();

  /** Whether exactly one value is left, the pickle's result. */
  get isFinished(): boolean {
    return this.#section.length === 1 && this.#below.length === 0;
  }

  get memoSize(): number {
    return this.#memo.size;
  }

  push(value: PickleValue): void {
    if (this.#section.length >= maximumStack) throw tooMany();
    this.#section.push(value);
  }

  pop(): PickleValue {
    const value = this.#section.pop();
    if (value === undefined) throw broken('it takes a value where there is none');
    return value;
  }

  top(): PickleValue {
    const value = this.#section.at(-1);
    if (value === undefined) throw broken('it uses a value where there is none');
    return value;
  }

  popMany(count: number): PickleValue[] {
    if (this.#section.length < count) throw broken('it takes a value where there is none');
    return this.#section.splice(this.#section.length - count);
  }

  mark(): void {
    if (this.#below.length >= maximumStack) throw tooMany();
    this.#below.push(this.#section);
    this.#section = [];
  }

  /** The values above the last mark, which is removed. */
  popMark(): PickleValue[] {
    const values = this.#section;
    const below = this.#below.pop();
    if (!below) throw broken('it closes a list that was not opened');
    this.#section = below;
    return values;
  }

  /** Removes the top value, or the last mark where no value is above it. */
  drop(): void {
    if (this.#section.length === 0) this.popMark();
    else this.pop();
  }

  /** Appends to the list on top. */
  extend(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw broken('it appends to what is not a list');
    for (const item of items) list.push(item);
  }

  /** Sets entries (key, value, key, value…) of the dict on top. */
  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof PickleMap) || items.length % 2 !== 0) {
      throw broken('it sets entries of what is not a dict');
    }
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  }

  remember(index: number): void {
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw broken('it recalls a value that it never stored');
    this.push(value);
  }
}

function broken(what: string): PickleError {
  return new PickleError(`its pickle is broken (${what}).`);
}

function tooMany(): PickleError {
  return new PickleError('its pickle nests or lists more values than any file of tensors.');
}
