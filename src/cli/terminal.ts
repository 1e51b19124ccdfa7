/** Text for people: columns, indentation, one live region. Widths count terminal cells (string-width). */
import { styleText } from 'node:util';
import { createLogUpdate } from 'log-update';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

const minimumColumn = 28;
const gap = '  ';

/** Width of the terminal; a pipe gets 80. */
export function terminalWidth(): number {
  return process.stdout.columns || 80;
}

export interface Cell {
  title: string;
  text: string;
  footer: string;
}

/** Cells beside each other if they fit in the width, else one below the other. */
export function layout(cells: readonly Cell[], width: number): string {
  const columnWidth = Math.floor((width - gap.length * (cells.length - 1)) / cells.length);
  if (cells.length === 1 || columnWidth < minimumColumn) {
    return cells.map((cell) => lines(cell, width).join('\n')).join('\n\n');
  }
  const columns = cells.map((cell) => lines(cell, columnWidth));
  const height = Math.max(...columns.map((column) => column.length));
  return Array.from({ length: height }, (_, row) =>
    columns
      .map((column) => padded(column[row] ?? '', columnWidth))
      .join(gap)
      .trimEnd(),
  ).join('\n');
}

/** A part of the terminal that is drawn again at every change; a pipe sees only the last state. */
export class LiveRegion {
  private readonly draw = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined;
  private last = '';

  update(text: string): void {
    this.last = text;
    this.draw?.(text);
  }

  done(): void {
    if (this.draw) this.draw.done();
    else if (this.last !== '') process.stdout.write(`${this.last}\n`);
  }
}

/** A pipe gets a line of progress at most so often. */
const secondsBetweenLines = 5;

/** One line of progress on stderr: drawn again in a terminal, now and then a new line in a pipe. */
export class ProgressLine {
  private readonly draw = process.stderr.isTTY ? createLogUpdate(process.stderr) : undefined;
  private nextLine = 0;

  update(text: string): void {
    if (this.draw) this.draw(text);
    else if (performance.now() >= this.nextLine) {
      process.stderr.write(`${text}\n`);
      this.nextLine = performance.now() + 1000 * secondsBetweenLines;
    }
  }

  done(): void {
    this.draw?.clear();
    this.draw?.done();
  }
}

/** Wraps a text and indents it. */
export function indented(text: string, indent: string, width = terminalWidth()): string {
  return wrapAnsi(text, width - indent.length, { hard: true })
    .split('\n')
    .map((line) => indent + line)
    .join('\n');
}

export const bold = (text: string): string => styleText('bold', text);
export const dim = (text: string): string => styleText('dim', text);

/** Text from documents and models must not move the cursor or colour the terminal: control characters are dropped. */
export function printable(text: string): string {
  return text.replaceAll(/(?![\n\t])\p{Cc}/gu, '');
}

function lines(cell: Cell, width: number): string[] {
  const wrap = (text: string): string[] => wrapAnsi(text, width, { hard: true, trim: false }).split('\n');
  return [bold(cell.title), dim('─'.repeat(width)), ...wrap(cell.text), dim(cell.footer)];
}

function padded(line: string, width: number): string {
  return line + ' '.repeat(Math.max(0, width - stringWidth(line)));
}
