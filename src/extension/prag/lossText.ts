/** A loss curve in one line of text. */

const bars = '▁▂▃▄▅▆▇█';

/** One bar per value, from the least to the greatest; at most `width`, means of neighbours. */
export function sparkline(values: readonly number[], width = 24): string {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return '';
  const count = Math.min(width, finite.length);
  const means = Array.from({ length: count }, (_, place) => {
    const part = finite.slice(
      Math.floor((place * finite.length) / count),
      Math.floor(((place + 1) * finite.length) / count),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const [least, greatest] = [Math.min(...means), Math.max(...means)];
  const span = greatest - least || 1;
  return means.map((mean) => bars[Math.round(((mean - least) / span) * (bars.length - 1))]).join('');
}

/** `2.31 → 0.42`; empty without values. */
export function lossChange(values: readonly number[]): string {
  if (values.length === 0) return '';
  return `${values[0]!.toFixed(2)} → ${values.at(-1)!.toFixed(2)}`;
}
