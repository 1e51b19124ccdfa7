/**
 * How text is split before byte-level BPE, by the name that a GGUF file gives (`tokenizer.ggml.pre`). The rules are
 * those of llama.cpp (src/llama-vocab.cpp); `gpt-4o` and `tekken` are spelled as in the models' own tokenizer.json,
 * which llama.cpp only approximates for capital letters beyond ASCII. More names of a known rule are one line here.
 */

export interface PreTokenizer {
  /** One after the other: what a rule matches becomes a piece, what lies between two matches, too. */
  rules: readonly RegExp[];
  /** Whether a piece that is a token is not built from merges. */
  wholePieces?: boolean;
  /** Whether BOS is put in front where the file does not say. */
  addBos?: boolean;
}

/** `\s` is Unicode's white space here, as in the references, not JavaScript's. */
function rule(source: string): RegExp {
  return new RegExp(source.replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}'), 'gu');
}

const contraction = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** The rule of Llama 3 and its kin. */
function words(letters: string, numbers: string, marks = ''): RegExp {
  const start = `(?:${contraction})|[^\\r\\n\\p{L}\\p{N}]?${letters}+|${numbers}`;
  return rule(`${start}| ?[^\\s\\p{L}${marks}\\p{N}]+[\\r\\n]*|${spaces}`);
}

/** The rule of GPT-4o and its kin: capital letters begin a piece. */
function camelCase(end: string, numbers: string): RegExp {
  const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
  const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
  const start = '[^\\r\\n\\p{L}\\p{N}]?';
  const letters = `${start}${upper}*${lower}+${end}|${start}${upper}+${lower}*${end}`;
  return rule(`${letters}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`);
}

const ascii = '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]\\^_`\\{\\|\\}~][A-Za-z]+';
const cjk = '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+';
const digit = rule('\\p{N}');
const threeDigits = rule('\\p{N}{1,3}');
const gpt2Rule = rule("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");

const gpt2: PreTokenizer = { rules: [gpt2Rule] };
const gpt2Digits: PreTokenizer = { rules: [digit, gpt2Rule] };
const llama3Rules = [words('\\p{L}', '\\p{N}{1,3}')];
const llama3: PreTokenizer = { rules: llama3Rules, wholePieces: true, addBos: true };
const llama3Merged: PreTokenizer = { rules: llama3Rules };
const qwen2: PreTokenizer = { rules: [words('\\p{L}', '\\p{N}')] };
const gpt4o: PreTokenizer = { rules: [camelCase(`(?:${contraction})?`, '\\p{N}{1,3}')] };
const deepseek3: PreTokenizer = {
  rules: [
    threeDigits,
    rule(cjk),
    rule(`${ascii}|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${spaces}`),
  ],
};

export const preTokenizers: Readonly<Record<string, PreTokenizer>> = {
  default: { rules: [rule('[\\p{P}$+<=>\\^~\\|]+'), gpt2Rule, rule('\\p{N}+'), rule('[0-9][0-9][0-9]')] },
  falcon: { rules: [rule('[\\p{P}$+<=>\\^~\\|`]+'), gpt2Rule, rule('[0-9][0-9][0-9]')] },

  'gpt-2': gpt2,
  'phi-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  jais: gpt2,
  gigachat: gpt2,
  'a.x-4.0': gpt2,
  mellum: gpt2,
  exaone4: gpt2,
  trillion: gpt2,
  'granite-docling': gpt2,

  smollm: gpt2Digits,
  starcoder: gpt2Digits,
  refact: gpt2Digits,
  'command-r': gpt2Digits,
  codeshell: gpt2Digits,
  exaone: gpt2Digits,
  'minerva-7b': gpt2Digits,
  mellum2: gpt2Digits,

  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  falcon3: llama3,
  'falcon-h1': llama3,
  pixtral: llama3,
  'midm-2.0': llama3,
  lfm2: llama3,
  'smaug-bpe': llama3Merged,
  dbrx: llama3Merged,
  'chatglm-bpe': llama3Merged,
  glm4: { rules: llama3Rules, wholePieces: true },
  minicpm5: { rules: [threeDigits, words('\\p{L}', '\\p{N}+')], wholePieces: true },

  qwen2,
  'deepseek-r1-qwen': qwen2,
  stablelm2: qwen2,
  megrez: qwen2,
  kormo: qwen2,
  hunyuan: qwen2,
  'solar-open': qwen2,
  'grok-2': qwen2,
  qwen35: { rules: [words('[\\p{L}\\p{M}]', '\\p{N}', '\\p{M}')] },

  'gpt-4o': gpt4o,
  llama4: gpt4o,
  kanana2: gpt4o,
  tekken: { rules: [camelCase('', '\\p{N}')], wholePieces: true, addBos: true },

  'deepseek-coder': {
    rules: [
      rule('[\\r\\n]'),
      rule('\\s?\\p{L}+'),
      rule('\\s?\\p{P}+'),
      rule('[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'),
      digit,
    ],
  },
  'deepseek-v3': deepseek3,
  'hunyuan-dense': deepseek3,
  'joyai-llm': deepseek3,
  'seed-coder': {
    rules: [
      rule(`(?:${contraction})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${spaces}`),
    ],
  },
};

/** The pieces of a text, in order; together they are the text. */
export function splitText(text: string, { rules }: PreTokenizer): string[] {
  let pieces = [text];
  for (const one of rules) pieces = pieces.flatMap((piece) => splitBy(piece, one));
  return pieces;
}

function splitBy(text: string, separator: RegExp): string[] {
  const pieces: string[] = [];
  let done = 0;
  for (const match of text.matchAll(separator)) {
    if (match.index > done) pieces.push(text.slice(done, match.index));
    pieces.push(match[0]);
    done = match.index + match[0].length;
  }
  if (done < text.length) pieces.push(text.slice(done));
  return pieces;
}
