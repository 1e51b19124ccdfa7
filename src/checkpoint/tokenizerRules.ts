/**
 * The library for tokenizer.json takes some of its steps for JavaScript's digits, white space and word characters where
 * the Rust library of transformers (huggingface/tokenizers) means Unicode's, or knows one behaviour of several. Here
 * such steps are rewritten, before the library sees them, to steps that it computes as Rust does.
 */
import { UserError } from '../protocol/errors.ts';
import { isJsonObject, type JsonObject } from './files.ts';

/** As character classes: Unicode's white space, numbers, word characters, punctuation and ASCII's symbols. */
const space = '\\p{White_Space}';
const word = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const punctuation = '\\p{P}\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E';
const gpt2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${space}\\p{L}\\p{N}]+|${space}+(?!\\P{White_Space})|${space}+`;

/** Chinese characters, as BERT's normalizer counts them. */
const chinese =
  '\\u4E00-\\u9FFF\\u3400-\\u4DBF\\u{20000}-\\u{2A6DF}\\u{2A700}-\\u{2B73F}\\u{2B740}-\\u{2B81F}\\u{2B920}-\\u{2CEAF}' +
  '\\uF900-\\uFAFF\\u{2F800}-\\u{2FA1F}';

/** A split at what the expression matches; only what is not removed is left. */
function split(regex: string, behavior: 'Isolated' | 'Removed', invert = false): JsonObject {
  return { type: 'Split', pattern: { Regex: regex }, behavior, invert };
}

function sequence(pretokenizers: unknown[]): JsonObject {
  return { type: 'Sequence', pretokenizers };
}

/**
 * @param path of tokenizer.json, for messages
 * @throws UserError for a behaviour that cannot be had
 */
export function preTokenizerRules(step: unknown, path: string): unknown {
  if (!isJsonObject(step)) return step;
  switch (step.type) {
    case 'Sequence': {
      const steps = Array.isArray(step.pretokenizers) ? step.pretokenizers : [];
      return sequence(steps.map((one) => preTokenizerRules(one, path)));
    }
    case 'Digits':
      return split(step.individual_digits === true ? '\\p{N}' : '\\p{N}+', 'Isolated');
    case 'Whitespace':
      return split(`[${word}]+|[^${word}${space}]+`, 'Removed', true);
    case 'WhitespaceSplit':
      return split(`${space}+`, 'Removed');
    case 'BertPreTokenizer':
      return sequence([split(`${space}+`, 'Removed'), split(`[${punctuation}]`, 'Isolated')]);
    case 'Punctuation':
      return splitRules(`[${punctuation}]`, step.behavior ?? 'Isolated', false, path);
    case 'FixedLength':
      return split(`[${space}\\P{White_Space}]{1,${Number(step.length ?? 5)}}`, 'Isolated');
    case 'Split':
      return splitRules(expression(step.pattern), step.behavior, step.invert === true, path);
    case 'Metaspace':
      return metaspaceRules(step);
    case 'ByteLevel':
      if (step.use_regex === false) return step;
      return sequence([
        // A space in front is put before the text is split.
        ...(step.add_prefix_space === true
          ? [{ type: 'Metaspace', replacement: ' ', prepend_scheme: 'always' }]
          : []),
        split(gpt2, 'Isolated'),
        { ...step, add_prefix_space: false, use_regex: false },
      ]);
    default:
      return step; // The library names the kinds that it does not know.
  }
}

/** An expression for a pattern of tokenizer.json, which may be a text. */
function expression(pattern: unknown): string {
  if (isJsonObject(pattern) && typeof pattern.Regex === 'string') return pattern.Regex;
  const text = isJsonObject(pattern) && typeof pattern.String === 'string' ? pattern.String : '';
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

/** A split of any behaviour, as one of those that the library knows. */
function splitRules(regex: string, behavior: unknown, invert: boolean, path: string): JsonObject {
  const any = `[${space}\\P{White_Space}]`;
  switch (behavior) {
    case 'Removed':
      return split(regex, 'Removed', invert);
    case 'Isolated':
      return split(regex, 'Isolated');
    case 'Contiguous':
      return split(invert ? regex : `(?:${regex})+`, 'Isolated');
    case 'MergedWithPrevious':
      if (!invert) return split(`(?:(?!${regex})${any})*(?:${regex})`, 'Isolated');
      break;
    case 'MergedWithNext':
      if (!invert) return split(`(?:${regex})(?:(?!${regex})${any})*`, 'Isolated');
      break;
    default:
  }
  const found = `${String(behavior)}${invert ? ', inverted' : ''}`;
  throw new UserError(`${path}: text is split with the behaviour ${found}, which is not supported.`);
}

/** The sign for a space is put in front, then text is split before every such sign. */
function metaspaceRules(step: JsonObject): JsonObject {
  const replacement = typeof step.replacement === 'string' ? step.replacement : '▁';
  // Older files say with a truth value whether a sign is put in front.
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always');
  const metaspace = { type: 'Metaspace', replacement, prepend_scheme: scheme };
  if (step.split === false) return metaspace;
  const sign = expression({ String: replacement });
  return sequence([metaspace, split(`(?:${sign})[^${sign}]*`, 'Isolated')]);
}

export function normalizerRules(step: unknown): unknown {
  if (!isJsonObject(step)) return step;
  const replace = (regex: string, content: string): JsonObject => ({
    type: 'Replace',
    pattern: { Regex: regex },
    content,
  });
  // Rust lowers letter by letter; JavaScript gives a Σ at a word's end another form.
  const sigma = replace('Σ', 'σ');
  switch (step.type) {
    case 'Sequence': {
      const steps = Array.isArray(step.normalizers) ? step.normalizers : [];
      return { type: 'Sequence', normalizers: steps.map(normalizerRules) };
    }
    case 'Replace': // A $ is a sign of its own for JavaScript.
      return {
        ...step,
        content: (typeof step.content === 'string' ? step.content : '').replaceAll('$', '$$$$'),
      };
    case 'Lowercase':
      return { type: 'Sequence', normalizers: [sigma, step] };
    case 'Strip': {
      const start = step.strip_left === true ? [replace(`\\A${space}+`, '')] : [];
      const end = step.strip_right === true ? [replace(`(?<!${space})${space}+\\z`, '')] : [];
      return { type: 'Sequence', normalizers: [...start, ...end] };
    }
    case 'BertNormalizer': {
      const clean = { type: 'BertNormalizer', clean_text: step.clean_text === true, strip_accents: false };
      const apart = step.handle_chinese_chars === true ? [replace(`[${chinese}]`, ' $& ')] : [];
      const lowercase = step.lowercase === true;
      const accents =
        (step.strip_accents ?? lowercase) === true ? [{ type: 'NFD' }, replace('\\p{Mn}', '')] : [];
      const lower = lowercase ? [sigma, { type: 'Lowercase' }] : [];
      return { type: 'Sequence', normalizers: [clean, ...apart, ...accents, ...lower] };
    }
    default:
      return step;
  }
}

/** Tokenizers of transformers 4 that put BOS and EOS as their configuration says, whatever tokenizer.json does. */
const configured = new Map([
  ['LlamaTokenizer', ['<s>', '</s>']],
  ['CodeLlamaTokenizer', ['<s>', '</s>']],
  ['GemmaTokenizer', ['<bos>', '<eos>']],
  ['CohereTokenizer', ['<BOS_TOKEN>', '<|END_OF_TURN_TOKEN|>']],
] as const);

/**
 * The step that puts BOS and EOS around a text: that of tokenizer.json but for the classes that make their own from
 * `add_bos_token` (true unless given) and `add_eos_token` (transformers 4, LlamaTokenizerFast.update_post_processor).
 *
 * @param config of tokenizer_config.json
 * @param idOf the id of a token by its text
 */
export function postProcessorRules(
  step: unknown,
  config: JsonObject,
  idOf: (token: string) => number | undefined,
): unknown {
  const name = typeof config.tokenizer_class === 'string' ? config.tokenizer_class.replace(/Fast$/, '') : '';
  const defaults = configured.get(name as never);
  if (!defaults) return step;
  const special = (role: 'bos' | 'eos', fallback: string, wanted: boolean): { id: string }[] => {
    const value = config[`${role}_token`] ?? fallback;
    const token = isJsonObject(value) ? value.content : value;
    return wanted && typeof token === 'string' && idOf(token) !== undefined ? [{ id: token }] : [];
  };
  const before = special('bos', defaults[0], config.add_bos_token !== false);
  const after = special('eos', defaults[1], config.add_eos_token === true);
  const part = ({ id }: { id: string }): JsonObject => ({ SpecialToken: { id, type_id: 0 } });
  const single = [...before.map(part), { Sequence: { id: 'A', type_id: 0 } }, ...after.map(part)];
  const tokens = [...before, ...after].map(({ id }) => [id, { id, ids: [idOf(id)], tokens: [id] }]);
  return {
    type: 'TemplateProcessing',
    single,
    pair: [],
    special_tokens: Object.fromEntries(tokens) as JsonObject,
  };
}
