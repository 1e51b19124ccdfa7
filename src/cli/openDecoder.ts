/** Loads a model for a command, with a line of progress while its weights are prepared. */
import { Decoder } from '../decoder/decoder.ts';
import type { DecoderOptions } from '../decoder/types.ts';
import { preparationText } from '../engine/comparison.ts';
import { ProgressLine } from './terminal.ts';

/**
 * @param model as the user named it
 * @param path what it resolved to
 * @throws UserError as Decoder.open
 */
export async function openDecoder(model: string, path: string, options: DecoderOptions): Promise<Decoder> {
  const line = new ProgressLine();
  try {
    const decoder = await Decoder.open(path, {
      ...options,
      onConversion: ({ done, total }) =>
        line.update(preparationText(model, Math.floor((100 * done) / total))),
    });
    if (decoder.warning !== undefined) process.stderr.write(`Note: ${decoder.warning}\n`);
    return decoder;
  } finally {
    line.done();
  }
}
