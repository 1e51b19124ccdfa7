/**
 * The form of a tokenizer.json, checked before the library uses it: the library takes what it finds, and fails somewhere
 * inside, or never ends.
 */
import * as v from 'valibot';
import { UserError } from '../protocol/errors.ts';
import { validated } from '../protocol/schema.ts';
import { isJsonObject, type JsonObject } from './files.ts';

/** Steps within steps. */
const mostDepth = 8;
/** Times that all replacements together may lengthen a text. */
const mostGrowth = 64;
/** Characters of an expression; the longest real ones have some hundred. */
const longestPattern = 10_000;

const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const optionalText = v.nullish(v.string());
const flag = v.nullish(v.boolean());
const pattern = v.union([
  v.object({ Regex: v.pipe(v.string(), v.maxLength(longestPattern)) }),
  v.object({ String: v.pipe(v.string(), v.maxLength(longestPattern)) }),
]);
const length = v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0)));

/** The fields of all kinds of steps: a field has the same form wherever it stands. */
const step = v.looseObject({
  type: v.string(),
  pattern: v.nullish(v.union([pattern, v.string()])),
  ...{ content: optionalText, replacement: optionalText, prepend: optionalText, behavior: optionalText },
  ...{
    prepend_scheme: optionalText,
    suffix: optionalText,
    prefix: optionalText,
    word_delimiter_token: optionalText,
  },
  ...{ unk_token: optionalText, pad_token: optionalText },
  ...{ invert: flag, add_prefix_space: flag, use_regex: flag, trim_offsets: flag, individual_digits: flag },
  ...{ lowercase: flag, clean_text: flag, handle_chinese_chars: flag, strip_accents: flag, cleanup: flag },
  ...{ strip_left: flag, strip_right: flag, split: flag, fuse_unk: flag },
  ...{ start: length, stop: length, length },
});

const part = v.union([
  v.object({ SpecialToken: v.looseObject({ id: v.string(), type_id: v.optional(id) }) }),
  v.object({ Sequence: v.looseObject({ id: v.picklist(['A', 'B']), type_id: v.optional(id) }) }),
]);
const tokenAndId = v.strictTuple([v.string(), id]);
const processorStep = v.looseObject({
  ...step.entries,
  single: v.nullish(v.array(part)),
  pair: v.nullish(v.array(part)),
  special_tokens: v.nullish(
    v.record(v.string(), v.looseObject({ id: v.string(), ids: v.array(id), tokens: v.array(v.string()) })),
  ),
  cls: v.nullish(tokenAndId),
  sep: v.nullish(tokenAndId),
});

const addedTokens = v.nullish(
  v.array(
    v.looseObject({
      id,
      content: v.pipe(v.string(), v.minLength(1), v.maxLength(longestPattern)),
      ...{ single_word: flag, lstrip: flag, rstrip: flag, normalized: flag, special: flag },
    }),
  ),
);

/** Where steps of a list of steps stand. */
const lists = {
  normalizer: 'normalizers',
  pre_tokenizer: 'pretokenizers',
  post_processor: 'processors',
  decoder: 'decoders',
};

/** @throws UserError that names the field and what it should be */
export function checkTokenizerForm(json: JsonObject, path: string): void {
  validated(v.looseObject({ added_tokens: addedTokens }), json, path);
  for (const [name, list] of Object.entries(lists)) {
    const schema = name === 'post_processor' ? processorStep : step;
    checkStep(json[name], { name, list, schema, path, depth: 0 });
  }
  checkGrowth(json.normalizer, path);
  checkModel(json.model, path);
}

interface Place {
  name: string;
  list: string;
  schema: v.GenericSchema;
  path: string;
  depth: number;
}

function checkStep(value: unknown, { name, list, schema, path, depth }: Place): void {
  if (value === null || value === undefined) return;
  if (depth > mostDepth) throw new UserError(`${path}: "${name}" is nested too deeply.`);
  validated(schema, value, `${path}: ${name}`);
  const { type, [list]: steps } = value as JsonObject;
  if (type !== 'Sequence') return;
  if (!Array.isArray(steps)) throw new UserError(`${path}: "${name}.${list}" is not a list of steps.`);
  steps.forEach((one: unknown, index) => {
    if (!isJsonObject(one)) throw new UserError(`${path}: "${name}.${list}.${index}" is not a step.`);
    checkStep(one, { name: `${name}.${list}.${index}`, list, schema, path, depth: depth + 1 });
  });
}

/** Forty replacements of a by aa make a text of a million million letters. */
function checkGrowth(normalizer: unknown, path: string): void {
  let growth = 1;
  const visit = (value: unknown): void => {
    if (!isJsonObject(value)) return;
    if (value.type === 'Sequence') for (const one of value.normalizers as unknown[]) visit(one);
    if (value.type !== 'Replace') return;
    const { pattern: replaced, content } = value;
    const found = isJsonObject(replaced) && typeof replaced.String === 'string' ? replaced.String.length : 1;
    const made = typeof content === 'string' ? content.length : 0;
    growth *= Math.max(1, made / Math.max(1, found));
  };
  visit(normalizer);
  if (growth > mostGrowth) {
    throw new UserError(
      `${path}: its replacements make a text ${growth} times longer; up to ${mostGrowth} are computed.`,
    );
  }
}

/** Vocabularies have hundreds of thousands of entries, so this is no schema. */
function checkModel(model: unknown, path: string): void {
  if (!isJsonObject(model)) throw new UserError(`${path}: "model" is not an object.`);
  const { merges, vocab, unk_id: unknown } = model;
  const isMerge = (merge: unknown): boolean =>
    typeof merge === 'string' ||
    (Array.isArray(merge) &&
      merge.length === 2 &&
      typeof merge[0] === 'string' &&
      typeof merge[1] === 'string');
  if (merges !== undefined && merges !== null) {
    if (!Array.isArray(merges)) throw new UserError(`${path}: "model.merges" is not a list.`);
    const wrong = merges.findIndex((merge) => !isMerge(merge));
    if (wrong !== -1) throw new UserError(`${path}: "model.merges.${wrong}" is not a pair of texts.`);
  }
  const kind = model.type;
  if ((kind === 'BPE' || 'merges' in model) && !Array.isArray(merges)) {
    throw new UserError(`${path}: "model.merges" is missing.`);
  }
  if (Array.isArray(vocab)) {
    const wrong = vocab.findIndex(
      (entry) => !(Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number'),
    );
    if (wrong !== -1) throw new UserError(`${path}: "model.vocab.${wrong}" is not a text and its score.`);
    const inside =
      typeof unknown === 'number' && Number.isInteger(unknown) && unknown >= 0 && unknown < vocab.length;
    if (unknown !== undefined && unknown !== null && !inside) {
      throw new UserError(`${path}: "model.unk_id" is not the place of a token in "model.vocab".`);
    }
  }
  for (const field of ['unk_token', 'continuing_subword_prefix', 'end_of_word_suffix']) {
    const text = model[field];
    if (text !== undefined && text !== null && typeof text !== 'string') {
      throw new UserError(`${path}: "model.${field}" is not a text.`);
    }
  }
}
