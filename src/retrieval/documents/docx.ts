/** Word documents, by mammoth. */
import mammoth from 'mammoth';
import yauzl from 'yauzl';
import { messageOf } from '../../protocol/errors.ts';
import type { ParsedDocument } from './blocks.ts';
import { parseHtml } from './html.ts';
import { DocumentProblem } from './problem.ts';

/** The text of a document, unpacked, and what it says of styles; pictures and fonts are not unpacked. */
const mostXmlBytes = 64 * 1024 * 1024;

/**
 * Blocks of a Word document by its styles (headings, lists, tables). `lines` counts its paragraphs, since the file
 * has no lines.
 * @throws DocumentProblem if the bytes are not a Word document, or unpack to very much more
 */
export async function parseDocx(bytes: Uint8Array): Promise<ParsedDocument> {
  let html: string;
  try {
    const xmlBytes = await unpackedXmlBytes(bytes);
    if (xmlBytes > mostXmlBytes) {
      throw new DocumentProblem(
        'tooLarge',
        `unpacks to ${Math.round(xmlBytes / 1024 / 1024)} MB of text, more than the limit of ${mostXmlBytes / 1024 / 1024} MB`,
      );
    }
    const withoutImages = { convertImage: mammoth.images.imgElement(() => Promise.resolve({ src: '' })) };
    html = (await mammoth.convertToHtml({ buffer: Buffer.from(bytes) }, withoutImages)).value;
  } catch (error) {
    if (error instanceof DocumentProblem) throw error;
    if (isEncrypted(bytes)) throw new DocumentProblem('protected', 'is protected by a password');
    throw new DocumentProblem(
      'damaged',
      `is not a readable Word document (${messageOf(error).split('\n')[0]!})`,
    );
  }
  const { blocks } = parseHtml(html);
  return { blocks: blocks.map((block, index) => ({ ...block, lines: block.lines.map(() => index + 1) })) };
}

/** What the directory of the package says; a directory that lies is met by the limit of memory. */
async function unpackedXmlBytes(bytes: Uint8Array): Promise<number> {
  const archive = await yauzl.fromBufferPromise(Buffer.from(bytes));
  let total = 0;
  for await (const entry of archive.eachEntry()) {
    if (/\.(?:xml|rels)$/i.test(entry.fileName)) total += entry.uncompressedSize;
  }
  return total;
}

/** A protected document is no zip file but one of Windows' compound files. */
function isEncrypted(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 8)).toString('hex') === 'd0cf11e0a1b11ae1';
}
