/** Charts as SVG text: lines over a number, and bars. Scores are shares, drawn on an axis from 0 to 100 %. */
import { percent } from '../summary.ts';

export interface Line {
  name: string;
  /** In the order of x. */
  points: readonly { x: number; y: number }[];
}

export interface Bar {
  name: string;
  values: readonly { series: string; value: number; interval?: readonly [number, number] }[];
}

const width = 640;
const height = 320;
const margin = { left: 48, right: 16, top: 16, bottom: 40 };
const plotWidth = width - margin.left - margin.right;
const plotHeight = height - margin.top - margin.bottom;
/** Okabe and Ito's colours, which colour-blind readers can tell apart. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#6b5b00', '#000000'];

/** Lines over x; the values of x are spaced evenly, as k = 1, 2, 5, 50 would otherwise crowd on the left. */
export function lineChart(title: string, xLabel: string, lines: readonly Line[]): string {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const place = (x: number): number => margin.left + ((xs.indexOf(x) + 0.5) / xs.length) * plotWidth;
  const ticks = xs.map((x) => label(place(x), height - margin.bottom + 16, String(x), 'middle'));
  const drawn = lines.map(({ name, points }, index) => {
    const colour = colours[index % colours.length]!;
    const places = points.map(({ x, y }) => `${place(x).toFixed(1)},${atShare(y).toFixed(1)}`).join(' ');
    const dots = points.map(
      ({ x, y }) =>
        `<circle cx="${place(x).toFixed(1)}" cy="${atShare(y).toFixed(1)}" r="3.5" fill="${colour}">` +
        `<title>${escapeHtml(`${name}, ${xLabel} ${x}: ${percent(y)} %`)}</title></circle>`,
    );
    return `<polyline points="${places}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}`;
  });
  const axis = label(margin.left + plotWidth / 2, height - 6, xLabel, 'middle');
  return figure(
    title,
    [...shareAxis(), ...ticks, axis, ...drawn],
    lines.map(({ name }) => name),
  );
}

/** Groups of bars side by side, with a whisker where an interval is given. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const series = [...new Set(bars.flatMap(({ values }) => values.map((value) => value.series)))];
  const groupWidth = plotWidth / bars.length;
  const barWidth = Math.min(28, (0.8 * groupWidth) / series.length);
  const drawn = bars.flatMap(({ name, values }, group) => {
    const center = margin.left + (group + 0.5) * groupWidth;
    const rectangles = values.map(({ series: of, value, interval }) => {
      const index = series.indexOf(of);
      const x = center + (index - series.length / 2) * barWidth;
      const hint = `<title>${escapeHtml(`${name}, ${of}: ${percent(value)} %`)}</title>`;
      const middle = (x + barWidth / 2).toFixed(1);
      const whisker = interval
        ? `<path d="M${middle} ${atShare(interval[0]).toFixed(1)}V${atShare(interval[1]).toFixed(1)}" stroke="currentColor"/>`
        : '';
      const size = `width="${(barWidth - 2).toFixed(1)}" height="${(atShare(0) - atShare(value)).toFixed(1)}"`;
      const at = `x="${x.toFixed(1)}" y="${atShare(value).toFixed(1)}"`;
      return `<rect ${at} ${size} fill="${colours[index % colours.length]}">${hint}</rect>${whisker}`;
    });
    return [...rectangles, label(center, height - margin.bottom + 16, name, 'middle')];
  });
  return figure(title, [...shareAxis(), ...drawn], series);
}

/** Text that may stand in HTML and in its attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function figure(title: string, content: readonly string[], names: readonly string[]): string {
  const key = names.map(
    (name, index) =>
      `<li><span style="background:${colours[index % colours.length]}"></span>${escapeHtml(name)}</li>`,
  );
  const svg =
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}" ` +
    `xmlns="http://www.w3.org/2000/svg">${content.join('')}</svg>`;
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>${svg}<ul class="key">${key.join('')}</ul></figure>`;
}

function shareAxis(): string[] {
  return [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    `<path d="M${margin.left} ${atShare(share)}H${width - margin.right}" stroke="currentColor" opacity="0.2"/>`,
    label(margin.left - 8, atShare(share) + 4, `${100 * share}`, 'end'),
  ]);
}

function atShare(share: number): number {
  return margin.top + (1 - share) * plotHeight;
}

function label(x: number, y: number, text: string, anchor: 'middle' | 'end'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
}
