/**
 * What quantising to 4 bits costs a small model: the perplexity of a short text beside that in float32, measured once when
 * the weights are prepared and kept beside them. Large models lose little; of small ones int4 can leave nonsense.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import type { EmbeddingTable } from '../checkpoint/embeddingTable.ts';
import { readOptionalJsonObject } from '../checkpoint/files.ts';
import { linearParameters } from '../checkpoint/layers.ts';
import { weightBytes } from '../checkpoint/memory.ts';
import { isQuantized } from '../checkpoint/quantized/recipe.ts';
import { contextLength } from '../checkpoint/ropeConfig.ts';
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { Checkpoint } from '../checkpoint/types.ts';
import { smallModel } from './precision.ts';
import { PromptUnits } from './promptUnits.ts';
import { scorePrompt } from './scoring.ts';
import { DecoderSession } from './session.ts';

/** A perplexity higher by this share is told. */
const worthTelling = 1.1;
/** Share of the free memory that the float32 weights may take while they are measured. */
const memoryShare = 0.5;
const fileName = 'loss.json';
const lossSchema = v.object({ perplexity: v.number(), reference: v.number() });

/** Perplexities of the text: as quantised, and in float32. */
export type QuantizationLoss = v.InferOutput<typeof lossSchema>;

/** Ordinary prose about things that any model knows. */
const text =
  'The harbour of the old town lies where the river meets the sea. In the morning the boats come back with fish, and the ' +
  'people of the market wait for them on the quay. Most of the catch is sold before noon; what is left goes to the kitchens ' +
  'of the inns around the square. In winter, when storms keep the boats at home, the fishermen mend their nets and repair ' +
  'their engines. A small museum tells how the town grew rich from salt, which was carried over the mountains to the cities ' +
  'in the south. Today many families live from visitors, who come in summer to swim, to walk along the cliffs and to see ' +
  'the lighthouse, which was built in 1862 and has been in use ever since.';

/**
 * What int4 costs the model of a session; undefined if it is not small, not quantised from floats, or if there is no
 * memory for the comparison.
 * @throws CancelledError soon after the signal fires
 */
export async function quantizationLoss(
  session: DecoderSession,
  {
    checkpoint,
    tokenizer,
    embeddings,
  }: { checkpoint: Checkpoint; tokenizer: Tokenizer; embeddings: EmbeddingTable },
  signal?: AbortSignal,
  availableBytes: number = process.availableMemory(),
): Promise<QuantizationLoss | undefined> {
  const { prepared, precision } = session.options;
  const { config } = checkpoint;
  if (precision !== 'int4' || !prepared || isQuantized(checkpoint)) return undefined;
  if (linearParameters(config) >= smallModel) return undefined;
  const file = join(prepared.folder, fileName);
  const known = v.safeParse(lossSchema, await readOptionalJsonObject(file).catch(() => undefined));
  if (known.success) return known.output;
  if (weightBytes(config, 'f32') > memoryShare * availableBytes) return undefined;
  const measure = async (measured: DecoderSession): Promise<number> => {
    const prompt = { parts: [{ tokenIds: tokenizer.encode(text).slice(0, contextLength(config)) }] };
    const scores = await scorePrompt(measured, new PromptUnits(embeddings), prompt, signal);
    const sum = scores.reduce<number>((total, score) => total + (score ?? 0), 0);
    return Math.exp(-sum / scores.length);
  };
  const exact = await DecoderSession.open(checkpoint, { device: 'cpu', precision: 'f32' });
  try {
    const loss = { perplexity: await measure(session), reference: await measure(exact) };
    // A folder that cannot be written to means that it is measured again.
    await writeFile(file, JSON.stringify(loss)).catch(() => undefined);
    return loss;
  } finally {
    await exact.dispose();
  }
}

/** What the user should know; undefined if little is lost. */
export function lossWarning({ perplexity, reference }: QuantizationLoss): string | undefined {
  if (perplexity < worthTelling * reference) return undefined;
  return (
    `This small model loses much in int4: the perplexity of a short text is ${perplexity.toFixed(1)}, in float32 ` +
    `${reference.toFixed(1)}. Its answers are worse than the model's own; take int8 or auto.`
  );
}
