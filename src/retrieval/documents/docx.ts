import mammoth from 'mammoth';
import { messageOf, UserError } from '../../protocol/errors.ts';
import type { ParsedDocument } from './blocks.ts';
import { parseHtml } from './html.ts';

/**
 * Blocks of a Word document by its styles (headings, lists, tables). `lines` counts its paragraphs, since the file
 * has no lines.
 * @throws UserError if the bytes are not a Word document
 */
export async function parseDocx(bytes: Uint8Array): Promise<ParsedDocument> {
  let html: string;
  try {
    const withoutImages = { convertImage: mammoth.images.imgElement(() => Promise.resolve({ src: '' })) };
    html = (await mammoth.convertToHtml({ buffer: Buffer.from(bytes) }, withoutImages)).value;
  } catch (error) {
    throw new UserError(`is not a readable Word document (${messageOf(error)})`);
  }
  const { blocks } = parseHtml(html);
  return { blocks: blocks.map((block, index) => ({ ...block, lines: block.lines.map(() => index + 1) })) };
}
