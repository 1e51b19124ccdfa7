/** The list of tensors in a GGUF header: where each lies and what it is, checked against the file. */
import { UserError } from '../../protocol/errors.ts';
import { quoted } from '../quotedText.ts';
import type { TensorLocation } from '../types.ts';
import type { HeaderReader } from './headerReader.ts';
import { nameOfOtherType, tensorType, unitOf } from './tensorTypes.ts';

/** More tensors than any model has; limits of ggml for names and dimensions. */
const maximumTensors = 65536;
const maximumNameBytes = 64;
const maximumDimensions = 4;

/**
 * Reads the entries of `count` tensors, the last part of a header. Offsets in the result count from the file's start.
 *
 * @param file the real path of the file
 * @param alignment a power of two
 * @throws UserError that names the tensor and what is wrong
 */
export function readTensorInfos(
  reader: HeaderReader,
  count: number,
  alignment: number,
  file: string,
): Map<string, TensorLocation> {
  if (count > maximumTensors) {
    throw reader.error(`it claims ${count} tensors; at most ${maximumTensors} are read`);
  }
  const tensors = new Map<string, TensorLocation>();
  for (let index = 0; index < count; index++) {
    reader.within = `the entry of tensor ${index + 1} of ${count}`;
    const tensor = readTensorInfo(reader, alignment, file);
    if (tensors.has(tensor.name)) throw reader.error(`there are two tensors named ${quoted(tensor.name)}`);
    tensors.set(tensor.name, tensor);
  }
  // The data begin at the next multiple of the alignment.
  const start = Math.ceil(reader.position / alignment) * alignment;
  for (const tensor of tensors.values()) tensor.offset += start;
  checkPlaces(reader, tensors);
  return tensors;
}

function readTensorInfo(reader: HeaderReader, alignment: number, file: string): TensorLocation {
  const name = reader.name(maximumNameBytes);
  const which = `tensor ${quoted(name)}`;
  reader.within = `the entry of ${which}`;
  const dimensions = reader.uint32();
  if (dimensions < 1 || dimensions > maximumDimensions) {
    throw reader.error(`${which} has ${dimensions} dimensions; 1 to ${maximumDimensions} are allowed`);
  }
  const sizes: number[] = [];
  for (let i = 0; i < dimensions; i++) sizes.push(reader.count());
  const typeNumber = reader.uint32();
  const dtype = tensorType(typeNumber);
  if (!dtype) {
    throw new UserError(
      `${reader.path}: ${which} has the type ${nameOfOtherType(typeNumber)}: it cannot be read. ` +
        'Take another quantisation of the model, such as Q4_K_M or Q8_0.',
    );
  }
  const offset = reader.count();
  const elements = sizes.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements) || elements === 0) {
    throw reader.error(`${which} has the impossible shape [${sizes.join(', ')}]`);
  }
  const { values, bytes } = unitOf(dtype);
  if (sizes[0]! % values !== 0) {
    throw reader.error(`${which} has rows of ${sizes[0]!} values; ${dtype} needs a multiple of ${values}`);
  }
  if (offset % alignment !== 0) {
    throw reader.error(
      `${which} lies at offset ${offset}, which is no multiple of the alignment ${alignment}`,
    );
  }
  return { name, dtype, shape: sizes.reverse(), file, offset, length: (elements / values) * bytes };
}

/** Every tensor lies inside the file, none in another. */
function checkPlaces(reader: HeaderReader, tensors: ReadonlyMap<string, TensorLocation>): void {
  const ordered = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  let end = 0;
  let previous = '';
  for (const { name, offset, length } of ordered) {
    if (offset < end) throw reader.error(`tensors ${quoted(previous)} and ${quoted(name)} overlap`);
    end = offset + length;
    previous = name;
    if (end > reader.size) {
      throw new UserError(
        `${reader.path} is incomplete or damaged: tensor ${quoted(name)} would lie at bytes ${offset} to ${end}, ` +
          `the file has ${reader.size}. Download it again.`,
      );
    }
  }
}
