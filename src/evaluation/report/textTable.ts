/** Tables as text, and the numbers in them. */

/** Rows of cells as lines of columns: the first `leftColumns` aligned on the left, the others on the right. */
export function textTable(rows: readonly (readonly string[])[], leftColumns = 1): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column < leftColumns ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A share as a percentage with one digit. */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/** A probability: three digits, small ones as a power of ten. */
export function probability(p: number): string {
  return p >= 0.001 ? p.toFixed(3) : p.toExponential(0);
}
