/** Texts as Python's str methods take them apart, where JavaScript's own differ. */

/** What str.isspace() holds for: JavaScript's \s lacks U+001C to U+001F and U+0085 and has U+FEFF. */
// eslint-disable-next-line no-control-regex -- Python counts these control characters as white space
const whiteSpace = /[\x1c-\x1f\p{White_Space}]+/u;

/** str.split() without an argument. */
export function splitWords(text: string): string[] {
  return text.split(whiteSpace).filter((word) => word !== '');
}

/** str.strip() without an argument. */
export function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && whiteSpace.test(text[start]!)) start++;
  while (end > start && whiteSpace.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}

/** str() of a number that stood in JSON as `source`: whole numbers as they are, others in their shortest form. */
export function numberText(value: number, source: string): string {
  if (/^-?\d+$/.test(source)) return source === '-0' ? '0' : source;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits, exponent] = value.toExponential().split('e') as [string, string];
    return `${digits}e${exponent[0]!}${exponent.slice(1).padStart(2, '0')}`;
  }
  const text = Object.is(value, -0) ? '-0' : String(value);
  return text.includes('.') ? text : `${text}.0`;
}
