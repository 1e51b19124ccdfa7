/** The tensors of a checkpoint's files that its architecture uses. */
import { UserError } from '../protocol/errors.ts';
import { isBlockType } from './gguf/blocks/formats.ts';
import { expectedTensors } from './layers.ts';
import { selectPacked } from './quantized/packedLinears.ts';
import type { ModelConfig, TensorLocation } from './types.ts';

/** Most tensors named in one message; the rest is counted. */
const namedInMessage = 5;

export interface WhereFrom {
  /** The folder or file, for messages. */
  path: string;
  /** What the configuration was read from, for messages. */
  described: string;
  /** A tensor's name in the file, where that is another one. */
  nameInFile?: (name: string) => string;
}

/**
 * Every tensor of the architecture, from those found under their Hugging Face names, in its shape and a type that can
 * be computed with: a float type, or blocks where it is a matrix.
 *
 * @throws UserError that names those that are missing or wrong
 */
export function selectTensors(
  config: ModelConfig,
  found: ReadonlyMap<string, TensorLocation>,
  { path, described, nameInFile = (name) => name }: WhereFrom,
): Map<string, TensorLocation> {
  const selected = new Map<string, TensorLocation>();
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const [name, shape] of expectedTensors(config)) {
    const packed =
      config.packing && shape.length === 2 && !found.has(name)
        ? selectPacked(found, name.replace(/\.weight$/, ''), config.packing, shape as [number, number])
        : undefined;
    if (packed) {
      for (const location of packed.tensors) selected.set(location.name, location);
      wrong.push(...packed.wrong);
      continue;
    }
    const location = found.get(name);
    if (!location) missing.push(nameInFile(name));
    else if (location.shape.join() !== shape.join()) {
      const is = `is [${location.shape.join(', ')}], expected [${shape.join(', ')}]`;
      wrong.push(`${nameInFile(name)} ${is}`);
    } else if (!isUsable(location)) {
      wrong.push(`${nameInFile(name)} has the element type ${location.dtype}, expected F32, F16 or BF16`);
    } else selected.set(name, location);
  }
  if (missing.length > 0) {
    const [are, them] = missing.length === 1 ? ['is', 'it'] : ['are', 'them'];
    throw new UserError(
      `${path}: ${some(missing)} ${are} missing from the weight files. ` +
        `A ${config.architecture} of this ${described} needs ${them}; download the model again.`,
    );
  }
  if (wrong.length > 0) {
    throw new UserError(
      `${path}: the weight files do not fit ${described}: ${some(wrong)}. ` +
        'Both must come from the same version of the model.',
    );
  }
  return selected;
}

function isUsable({ dtype, shape }: TensorLocation): boolean {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' || (shape.length === 2 && isBlockType(dtype));
}

function some(items: readonly string[]): string {
  const rest = items.length - namedInMessage;
  const named = items.slice(0, namedInMessage).join('; ');
  return rest > 0 ? `${named}; and ${rest} more` : named;
}
