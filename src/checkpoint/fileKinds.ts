/** Files that are mistaken for files of tensors, told by how they start: the message says what they are. */
import { UserError } from '../protocol/errors.ts';

const advice = 'save the tensor with torch.save or as safetensors';

/** The start of a file, as Latin-1 text, and what to say about it. */
/* eslint-disable no-control-regex -- these are bytes */
const kinds: readonly [start: RegExp, what: string][] = [
  [/^version https:\/\/git-lfs/, 'is a git-lfs pointer, not the file itself; fetch it with "git lfs pull"'],
  [/^\x93NUMPY/, `is a NumPy file; ${advice}`],
  [/^\x89HDF/, `is an HDF5 file (Keras?); ${advice}`],
  [/^GGUF/, 'is a GGUF file: a whole model, which is chosen as a model'],
  [/^\x1f\x8b/, 'is compressed with gzip; unpack it first'],
  [/^BZh|^\xfd7zXZ|^7z\xbc\xaf|^\x28\xb5\x2f\xfd/, 'is compressed; unpack it first'],
  [/^%PDF/, 'is a PDF document, not a file of tensors'],
  [/^\x89PNG|^\xff\xd8\xff|^GIF8/, 'is a picture, not a file of tensors'],
  [/^SQLite format 3/, 'is an SQLite database, not a file of tensors'],
  [/^\x7fELF|^MZ/, 'is a program, not a file of tensors'],
  [
    /^\s*<(!doctype|html|\?xml|head|body)/i,
    'is a web page (an error of the server?), not a file of tensors; download it again',
  ],
  [/^(\xef\xbb\xbf)?\s*[[{]\s*(["[{\]}tfn]|-?\d)/, 'is a JSON file, not a file of tensors'],
  [/^(\xff\xfe|\xfe\xff|\xef\xbb\xbf)/, 'is a text file, not a file of tensors'],
];
/* eslint-enable no-control-regex */

/**
 * Refuses what is no file of tensors.
 *
 * @param start the first bytes of the file, 64 or all
 * @throws UserError that says what it is, if that is known
 */
export function refuseOtherKinds(path: string, start: Uint8Array): void {
  const text = Buffer.from(start).toString('latin1');
  const what = kinds.find(([pattern]) => pattern.test(text))?.[1];
  if (what !== undefined) throw new UserError(`${path} ${what}.`);
}
