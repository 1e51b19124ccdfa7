/**
 * The tokenizer in a GGUF file's metadata (`tokenizer.ggml.*`, `tokenizer.chat_template`). Token ids are those of
 * llama.cpp (src/llama-vocab.cpp), except that BOS is never put in front twice.
 */
import { UserError } from '../../protocol/errors.ts';
import { quoted } from '../quotedText.ts';
import type { SpecialTokens, TokenizerSource } from '../tokenizerModel.ts';
import type { GgufMetadata } from './metadata.ts';
import { preTokenizers, type PreTokenizer } from './preTokenizers.ts';
import { byteOf, ByteLevelEncoding, SentencePieceEncoding, type TextEncoding } from './textEncodings.ts';
import { GgufTokenizerModel, tokenTypes, type Vocabulary } from './vocabulary.ts';

/** What is read of a GGUF file's metadata. */
export type TokenizerMetadata = Pick<
  GgufMetadata,
  'has' | 'string' | 'integer' | 'boolean' | 'strings' | 'numbers'
>;

/** Tokens that end an answer, whatever the file calls them. They are control tokens even where it says otherwise. */
const endOfTurn = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<EOT>',
  '<end_of_utterance>',
  '<｜end▁of▁sentence｜>',
]);

const bosKey = 'tokenizer.ggml.bos_token_id';
const eosKey = 'tokenizer.ggml.eos_token_id';

/**
 * @param path the file, for messages
 * @throws UserError if the tokenizer is missing, broken or of a kind or with a pre-tokenizer that is not known
 */
export function ggufTokenizerSource(path: string, metadata: TokenizerMetadata): TokenizerSource {
  const refuse = (message: string): never => {
    throw new UserError(`${path}: ${message}`);
  };
  const kind = metadata.has('tokenizer.ggml.model') ? metadata.string('tokenizer.ggml.model') : undefined;
  if (kind !== 'llama' && kind !== 'gpt2') {
    return refuse(
      kind === undefined
        ? 'the file holds no tokenizer (tokenizer.ggml.model is missing).'
        : `its tokenizer is of the kind ${quoted(kind)}, which is not supported; expected "llama" or "gpt2".`,
    );
  }
  const tokens = readTokens(metadata, refuse);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  if (ids.size < tokens.length) {
    const id = tokens.findIndex((token, index) => ids.get(token) !== index);
    refuse(
      `the token ${quoted(tokens[id]!)} is in the vocabulary twice, as ${id} and ${ids.get(tokens[id]!)}.`,
    );
  }
  const types = readTypes(metadata, tokens, refuse);
  const preTokenizer = kind === 'gpt2' ? readPreTokenizer(metadata, refuse) : undefined;
  const encoding = preTokenizer
    ? byteLevelEncoding(metadata, ids, preTokenizer, refuse)
    : sentencePieceEncoding(metadata, ids, refuse);

  const role = (key: string, fallback?: number): number | undefined => {
    const id = metadata.has(key) ? metadata.integer(key) : fallback;
    // The largest 32-bit number is how some files write "none" (-1).
    return id === undefined || id < 0 || id === 0xffffffff ? undefined : id;
  };
  // SentencePiece's own numbers, where the file gives none.
  const [bos, eos] = kind === 'llama' ? [role(bosKey, 1), role(eosKey, 2)] : [role(bosKey), role(eosKey)];
  for (const [key, id] of [
    [bosKey, bos],
    [eosKey, eos],
  ] as const) {
    if (id !== undefined && id >= tokens.length) {
      refuse(
        `${key} is ${id}, but the vocabulary has only ${tokens.length} tokens (ids up to ${tokens.length - 1}).`,
      );
    }
  }
  const addBos = metadata.boolean(
    'tokenizer.ggml.add_bos_token',
    preTokenizer ? (preTokenizer.addBos ?? false) : true,
  );
  const addEos = metadata.boolean('tokenizer.ggml.add_eos_token', false);
  if (addBos && bos === undefined)
    refuse(`a BOS token is to be put in front of text, but ${bosKey} is missing.`);
  if (addEos && eos === undefined) refuse(`an EOS token is to be put behind text, but ${eosKey} is missing.`);

  const specialTokens: SpecialTokens = {};
  const roles = {
    bos,
    eos,
    unk: role('tokenizer.ggml.unknown_token_id', kind === 'llama' ? 0 : undefined),
    pad: role('tokenizer.ggml.padding_token_id'),
  };
  for (const [name, id] of Object.entries(roles)) {
    const text = id === undefined ? undefined : tokens[id];
    if (text !== undefined) specialTokens[name as keyof SpecialTokens] = text;
  }
  const vocabulary: Vocabulary = {
    tokens,
    ids,
    types,
    encoding,
    addedBos: addBos ? bos : undefined,
    addedEos: addEos ? eos : undefined,
    stripsRight: /phi-?3/i.test(metadata.string('general.name', '')),
  };
  return {
    path,
    size: tokens.length,
    highestId: tokens.length - 1,
    highestBaseId: tokens.length - 1,
    chatTemplate: readChatTemplate(metadata),
    specialTokens,
    build: (added) => new GgufTokenizerModel(vocabulary, added),
  };
}

/**
 * The tokens that end an answer: those that the file names (end of text, of a turn, of a message) and those of the
 * vocabulary that are known to be such by their text.
 */
export function endOfTurnIds(metadata: TokenizerMetadata): number[] {
  const tokens = metadata.strings('tokenizer.ggml.tokens') ?? [];
  const named = [eosKey, 'tokenizer.ggml.eot_token_id', 'tokenizer.ggml.eom_token_id']
    .filter((key) => metadata.has(key))
    .map((key) => metadata.integer(key));
  const known = tokens.flatMap((token, id) => (endOfTurn.has(token) ? [id] : []));
  return [...new Set([...named, ...known])].filter((id) => id >= 0 && id < tokens.length);
}

type Refuse = (message: string) => never;

function readTokens(metadata: TokenizerMetadata, refuse: Refuse): readonly string[] {
  const tokens = metadata.strings('tokenizer.ggml.tokens');
  if (!tokens || tokens.length === 0) return refuse('the file holds no vocabulary (tokenizer.ggml.tokens).');
  return tokens.includes('') ? tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token)) : tokens;
}

function readTypes(metadata: TokenizerMetadata, tokens: readonly string[], refuse: Refuse): Uint8Array {
  const given = metadata.numbers('tokenizer.ggml.token_type');
  if (given && given.length !== tokens.length) {
    refuse(`tokenizer.ggml.token_type has ${given.length} values for ${tokens.length} tokens.`);
  }
  return Uint8Array.from(tokens, (token, id) => {
    const type = given?.[id] ?? tokenTypes.normal;
    if (!Number.isInteger(type) || type < 0 || type > tokenTypes.byte) {
      refuse(`token ${id} is of the type ${type}, which is none; expected 1 to ${tokenTypes.byte}.`);
    }
    if (type === tokenTypes.byte && byteOf(token) === undefined) {
      refuse(`token ${id}, ${quoted(token)}, is said to be a byte; expected a text such as <0x0A>.`);
    }
    return endOfTurn.has(token) ? tokenTypes.control : type;
  });
}

function readPreTokenizer(metadata: TokenizerMetadata, refuse: Refuse): PreTokenizer {
  if (!metadata.has('tokenizer.ggml.pre')) {
    return refuse(
      'the file does not say how text is split before it is encoded (tokenizer.ggml.pre), as files made before May ' +
        '2024 do not: take a newer file of the model.',
    );
  }
  const name = metadata.string('tokenizer.ggml.pre');
  if (!Object.hasOwn(preTokenizers, name)) {
    return refuse(
      `its pre-tokenizer ${quoted(name)} (tokenizer.ggml.pre) is not known here, so its text cannot be split ` +
        'as the model expects. Take a model with one of: ' +
        `${Object.keys(preTokenizers).join(', ')}.`,
    );
  }
  return preTokenizers[name]!;
}

function byteLevelEncoding(
  metadata: TokenizerMetadata,
  ids: ReadonlyMap<string, number>,
  preTokenizer: PreTokenizer,
  refuse: Refuse,
): TextEncoding {
  const merges = metadata.strings('tokenizer.ggml.merges');
  if (!merges) return refuse('the vocabulary has no merges (tokenizer.ggml.merges).');
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const space = merge.indexOf(' ', 1);
    if (space < 0 || space === merge.length - 1) {
      refuse(`merge ${rank} of tokenizer.ggml.merges, ${quoted(merge)}, is not two tokens.`);
    }
    if (!ranks.has(merge)) ranks.set(merge, rank);
  }
  return new ByteLevelEncoding(ids, ranks, preTokenizer);
}

function sentencePieceEncoding(
  metadata: TokenizerMetadata,
  ids: ReadonlyMap<string, number>,
  refuse: Refuse,
): TextEncoding {
  const scores = metadata.numbers('tokenizer.ggml.scores');
  if (scores?.length !== ids.size) {
    return refuse(`tokenizer.ggml.scores has ${scores?.length ?? 'no'} values for ${ids.size} tokens.`);
  }
  for (let id = 0; id < scores.length; id++) {
    if (Number.isNaN(scores[id])) refuse(`the score of token ${id} (tokenizer.ggml.scores) is not a number.`);
  }
  const byteIds = Int32Array.from({ length: 256 }, (_, byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    return ids.get(name) ?? refuse(`the vocabulary has no token ${name} for a byte; expected all 256.`);
  });
  const prefixesSpace = metadata.boolean('tokenizer.ggml.add_space_prefix', true);
  return new SentencePieceEncoding(ids, scores, byteIds, prefixesSpace);
}

/** The default template, or the first named one. */
function readChatTemplate(metadata: TokenizerMetadata): string | undefined {
  const key = 'tokenizer.chat_template';
  const named = (metadata.strings('tokenizer.chat_templates') ?? []).map((name) => `${key}.${name}`);
  const found = [key, `${key}.default`, ...named].find((candidate) => metadata.has(candidate));
  return found === undefined ? undefined : metadata.string(found);
}
