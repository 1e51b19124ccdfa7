/**
 * Glob patterns over paths, matched in time that grows with pattern times path: however many stars a pattern has,
 * nothing is tried twice. `**` stands for any folders, `*` and `?` stay within a name, `[a-z]` and `[!a]` are
 * characters, a backslash takes the next character as it is.
 */
import { UserError } from '../../protocol/errors.ts';

/** Alternatives that the braces of one pattern may make. */
const mostAlternatives = 1000;

/** A path as its names. */
export type PathMatcher = (names: readonly string[]) => boolean;

/** What one character of a name must be; undefined: any number of any characters. */
type NamePart = ((character: string) => boolean) | undefined;

/** Whether any of the patterns, which may have alternatives in braces, matches a whole relative path. @throws UserError */
export function globMatcher(patterns: readonly string[]): (path: string) => boolean {
  const matchers = patterns
    .flatMap(alternatives)
    .map((pattern) => pathMatcher(pattern.replace(/^(?:\.?\/)+|\/+$/g, '').split('/'), false));
  return (path) => {
    const names = path.split('/');
    return matchers.some((matches) => matches(names));
  };
}

/** @param pattern the names of a pattern; `**` as a name stands for any number of folders */
export function pathMatcher(pattern: readonly string[], ignoreCase: boolean): PathMatcher {
  // Neighbouring ** are one; so are more stars.
  const parts = pattern
    .map((name) => (/^\*{2,}$/.test(name) ? '**' : name))
    .filter((name, index, all) => name !== '**' || all[index - 1] !== '**')
    .map((name) => (name === '**' ? undefined : nameMatcher(ignoreCase ? name.toLowerCase() : name)));
  return (names) =>
    matchesSequence(parts, names, (matches, name) => matches(ignoreCase ? name.toLowerCase() : name));
}

function nameMatcher(pattern: string): (name: string) => boolean {
  const parts = nameParts(pattern);
  if (!/[\\*?[]/.test(pattern)) return (name) => name === pattern;
  return (name) => {
    return matchesSequence(parts, Array.from(name), (matches, character) => matches(character));
  };
}

/**
 * Whether items match parts, of which those that are undefined stand for any number of items. After a mismatch only
 * the last such part takes one more item: an earlier one could not do better.
 */
function matchesSequence<Part, Item>(
  parts: readonly (Part | undefined)[],
  items: readonly Item[],
  fits: (part: Part, item: Item) => boolean,
): boolean {
  let part = 0;
  let item = 0;
  let star = -1;
  let starItem = 0;
  while (item < items.length) {
    const wanted = parts[part];
    if (part < parts.length && wanted === undefined) {
      star = part++;
      starItem = item;
    } else if (wanted !== undefined && fits(wanted, items[item]!)) {
      part++;
      item++;
    } else if (star !== -1) {
      part = star + 1;
      item = ++starItem;
    } else {
      return false;
    }
  }
  return parts.slice(part).every((rest) => rest === undefined);
}

function nameParts(pattern: string): NamePart[] {
  const characters = Array.from(pattern);
  const parts: NamePart[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    const end = character === '[' ? endOfSet(characters, at) : -1;
    if (character === '*') {
      if (parts.length === 0 || parts.at(-1)) parts.push(undefined);
    } else if (character === '?') {
      parts.push(() => true);
    } else if (end !== -1) {
      parts.push(setMatcher(characters.slice(at + 1, end)));
      at = end;
    } else {
      const literal = character === '\\' && at + 1 < characters.length ? characters[++at]! : character;
      parts.push((other) => other === literal);
    }
  }
  return parts;
}

/** The place of the `]` that ends the set beginning at `start`; -1 if none does. A `]` that comes first is a member. */
function endOfSet(characters: readonly string[], start: number): number {
  let at = start + 1;
  if (characters[at] === '!' || characters[at] === '^') at++;
  if (characters[at] === ']') at++;
  for (; at < characters.length; at++) {
    if (characters[at] === '\\') at++;
    else if (characters[at] === ']') return at;
  }
  return -1;
}

function setMatcher(set: readonly string[]): (character: string) => boolean {
  const isNegated = set[0] === '!' || set[0] === '^';
  const members: [from: string, to: string][] = [];
  for (let at = isNegated ? 1 : 0; at < set.length; at++) {
    if (set[at] === '\\' && at + 1 < set.length) at++;
    const from = set[at]!;
    const isRange = set[at + 1] === '-' && at + 2 < set.length;
    members.push([from, isRange ? set[at + 2]! : from]);
    if (isRange) at += 2;
  }
  return (character) => members.some(([from, to]) => character >= from && character <= to) !== isNegated;
}

/** `a.{b,c}` is a.b and a.c. @throws UserError if there are too many */
function alternatives(pattern: string): string[] {
  const done: string[] = [];
  const pending = [pattern];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const braces = firstBraces(next);
    if (!braces) done.push(next);
    else
      for (const middle of braces.choices)
        pending.push(next.slice(0, braces.start) + middle + next.slice(braces.end));
    if (done.length + pending.length > mostAlternatives) {
      throw new UserError(
        `The glob pattern ${pattern.slice(0, 100)} stands for more than ${mostAlternatives} others; write fewer braces.`,
      );
    }
  }
  return done.reverse();
}

/** The first braces with a comma in them; `end` is the place after. */
function firstBraces(pattern: string): { start: number; end: number; choices: string[] } | undefined {
  const open: { start: number; commas: number[] }[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === '\\') at++;
    else if (character === '{') open.push({ start: at, commas: [] });
    else if (character === ',') open.at(-1)?.commas.push(at);
    else if (character === '}') {
      const braces = open.pop();
      if (!braces || braces.commas.length === 0) continue;
      const ends = [...braces.commas, at];
      const starts = [braces.start, ...braces.commas];
      return {
        start: braces.start,
        end: at + 1,
        choices: ends.map((end, index) => pattern.slice(starts[index]! + 1, end)),
      };
    }
  }
  return undefined;
}
