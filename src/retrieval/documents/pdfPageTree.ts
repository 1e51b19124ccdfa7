/** The page tree of a PDF file that has lost pages. */

/** Longer lists of pages stand in no file. */
const longestList = 1_000_000;

/**
 * pdf.js stops at a reference to a page that is not there; without the reference it reads the pages behind it. Only
 * for files with one list of pages in readable form: elsewhere the pages' numbers would not be known.
 * @returns the file without such references, which has the same length; the numbers of the pages that it has and of
 * those that are missing; undefined if none is
 */
export function withoutMissingPages(
  bytes: Uint8Array,
): { bytes: Uint8Array; pages: number[]; missing: number[] } | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const lists = [...text.matchAll(/\/Kids\s*\[([\d\sR]*)\]/g)];
  const list = lists[0];
  if (lists.length !== 1 || !list || list[0].length > longestList) return undefined;
  const isPage = new Map<string, boolean>();
  for (const [, number, generation, dictionary] of text.matchAll(/(\d{1,10})\s+(\d{1,5})\s+obj\b\s*(<<)?/g)) {
    isPage.set(`${number} ${generation}`, dictionary !== undefined);
  }
  // Objects may be packed in streams; of those that are not, it is known whether they are there.
  const isPacked = text.includes('/ObjStm');
  const copy = Buffer.from(bytes);
  const pages: number[] = [];
  const missing: number[] = [];
  const start = list.index + list[0].indexOf('[') + 1;
  for (const [index, reference] of [...list[1]!.matchAll(/(\d+)\s+(\d+)\s+R/g)].entries()) {
    const isThere = isPage.get(`${reference[1]} ${reference[2]}`) ?? isPacked;
    if (isThere) {
      pages.push(index + 1);
      continue;
    }
    missing.push(index + 1);
    copy.fill(' ', start + reference.index, start + reference.index + reference[0].length);
  }
  return missing.length > 0 ? { bytes: copy, pages, missing } : undefined;
}
