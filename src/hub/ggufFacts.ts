/** What a GGUF file holds and whether it can run here, by its header alone. */
import { blockFormats } from '../checkpoint/gguf/blocks/formats.ts';
import { ggufCheckpoint } from '../checkpoint/gguf/checkpoint.ts';
import { openGguf } from '../checkpoint/gguf/file.ts';
import type { GgufFile } from '../checkpoint/gguf/file.ts';
import { preTokenizers } from '../checkpoint/gguf/preTokenizers.ts';
import { summaryOf } from '../checkpoint/gguf/summary.ts';
import type { GgufSummary } from '../checkpoint/gguf/summary.ts';
import { quoted } from '../checkpoint/quotedText.ts';
import { messageOf } from '../protocol/errors.ts';
import type { LocalModel } from '../protocol/localModels.ts';
import { estimateFileMemory } from './memory.ts';

export type GgufFacts = Pick<
  LocalModel,
  | 'bytes'
  | 'architecture'
  | 'quantization'
  | 'parameters'
  | 'contextLength'
  | 'chat'
  | 'memoryBytes'
  | 'problem'
>;

/** Architectures of models that make vectors and no text. */
const encoders = /bert|^t5encoder$|embedding/;

/** Nothing but its size is known. */
export function unknownFacts(bytes: number, problem: string | null): GgufFacts {
  return {
    ...{ bytes, architecture: '', quantization: null, parameters: null, contextLength: null, chat: false },
    ...{ memoryBytes: null, problem },
  };
}

/** Reads a header. A file that is damaged, or no GGUF at all, has a `problem`: nothing is thrown. */
export async function ggufFacts(path: string, bytes: number): Promise<GgufFacts> {
  let facts = unknownFacts(bytes, null);
  try {
    const file = await openGguf(path, { arrays: false });
    const summary = summaryOf(file);
    const { architecture, quantization, parameters, contextLength = null } = summary;
    facts = {
      ...{ bytes: file.bytes, architecture, quantization, parameters, contextLength },
      chat: file.metadata.has('tokenizer.chat_template'),
      ...{ memoryBytes: null, problem: otherKind(file, summary) ?? unsupportedPart(file, summary) },
    };
    if (facts.problem !== null) return facts;
    const { config } = await ggufCheckpoint(file);
    return { ...facts, memoryBytes: estimateFileMemory(file.bytes, config) };
  } catch (error) {
    const message = messageOf(error);
    // The path stands beside it.
    return { ...facts, problem: message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message };
  }
}

/** What it is, if that is no language model. */
function otherKind({ metadata, tensors }: GgufFile, { architecture }: GgufSummary): string | null {
  const type = metadata.string('general.type', 'model');
  if (type === 'adapter') return 'It is a LoRA adapter, not a model.';
  if (type === 'mmproj' || architecture === 'clip') {
    return 'It is the vision part of a model, not a language model.';
  }
  if (type === 'imatrix') return 'It holds statistics for quantising a model, not a model.';
  const pooling = metadata.integer(`${architecture}.pooling_type`, 0);
  if (encoders.test(architecture) || pooling > 0) return 'It is an embedding model: it makes no text.';
  return tensors.size === 0 ? 'It holds no weights.' : null;
}

/** What would be refused beside the configuration: blocks without a product, an unknown tokenizer. */
function unsupportedPart({ metadata }: GgufFile, { types }: GgufSummary): string | null {
  const formats: Readonly<Record<string, { layout?: unknown } | undefined>> = blockFormats;
  const blocks = Object.keys(types).filter((type) => type in formats && formats[type]?.layout === undefined);
  if (blocks.length > 0) {
    return `Its weights are stored as ${blocks.join(', ')}, which does not run: take another quantisation of the model, such as Q4_K_M.`;
  }
  const tokenizer = metadata.string('tokenizer.ggml.model', 'none');
  if (tokenizer === 'llama') return null;
  if (tokenizer !== 'gpt2')
    return `Its tokenizer ${quoted(tokenizer)} is not supported; "llama" and "gpt2" are.`;
  const pre = metadata.string('tokenizer.ggml.pre', undefined);
  if (pre === undefined) {
    return 'It does not say how text is split into tokens (tokenizer.ggml.pre): take a newer file of the model.';
  }
  if (Object.hasOwn(preTokenizers, pre)) return null;
  return `Its pre-tokenizer ${quoted(pre)} is not known, so text would be split into other tokens.`;
}
