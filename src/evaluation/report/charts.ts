/** Charts as SVG text: lines over a number, and bars. Scores are shares, drawn on an axis of percent from 0 on. */
import type { Interval } from '../statistics/bootstrap.ts';
import { percent } from './textTable.ts';

export interface Line {
  name: string;
  /** In the order of x. */
  points: readonly { x: number; y: number; interval: Interval }[];
}

export interface Bar {
  name: string;
  values: readonly { series: string; value: number; interval: Interval }[];
}

const width = 640;
const height = 320;
const margin = { left: 48, right: 16, top: 16, bottom: 40 };
const plotWidth = width - margin.left - margin.right;
const plotHeight = height - margin.top - margin.bottom;
/** Of the labels' letters, about. */
const characterWidth = 6;
/** Okabe and Ito's colours, which colour-blind readers can tell apart. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#6b5b00', '#000000'];

/** Lines over x; the values of x are spaced evenly, as k = 1, 2, 5, 50 would otherwise crowd on the left. */
export function lineChart(title: string, xLabel: string, lines: readonly Line[]): string {
  const points = lines.flatMap((line) => line.points);
  const axis = new ShareAxis(points.map(({ interval }) => interval[1]));
  const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const place = (x: number): number => margin.left + ((xs.indexOf(x) + 0.5) / xs.length) * plotWidth;
  const ticks = xs.map((x) => label(place(x), height - margin.bottom + 16, String(x), 'middle'));
  const drawn = lines.map((line, index) => {
    const colour = colours[index % colours.length]!;
    // lines stand beside each other, so that whiskers do not cover each other
    const shift = 3 * (index - (lines.length - 1) / 2);
    const at = (x: number): string => (place(x) + shift).toFixed(1);
    const places = line.points.map(({ x, y }) => `${at(x)},${axis.at(y)}`).join(' ');
    const dots = line.points.map(
      ({ x, y, interval }) =>
        `${axis.whisker(at(x), interval, colour)}<circle cx="${at(x)}" cy="${axis.at(y)}" r="3.5" fill="${colour}">` +
        `<title>${escapeHtml(`${line.name}, ${xLabel} ${x}: ${percent(y)} %`)}</title></circle>`,
    );
    return `<polyline points="${places}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}`;
  });
  const xTitle = label(margin.left + plotWidth / 2, height - 6, xLabel, 'middle');
  return figure(
    title,
    [...axis.lines(), ...ticks, xTitle, ...drawn],
    lines.map(({ name }) => name),
  );
}

/** Groups of bars side by side, with whiskers for their intervals. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const axis = new ShareAxis(bars.flatMap(({ values }) => values.map(({ interval }) => interval[1])));
  const series = [...new Set(bars.flatMap(({ values }) => values.map((value) => value.series)))];
  const groupWidth = plotWidth / bars.length;
  const barWidth = Math.min(28, (0.8 * groupWidth) / series.length);
  const longest = Math.max(...bars.map(({ name }) => name.length)) * characterWidth;
  const isSlanted = longest > groupWidth;
  const drawn = bars.flatMap(({ name, values }, group) => {
    const center = margin.left + (group + 0.5) * groupWidth;
    const rectangles = values.map(({ series: of, value, interval }) => {
      const index = series.indexOf(of);
      const x = center + (index - series.length / 2) * barWidth;
      const hint = `<title>${escapeHtml(`${name}, ${of}: ${percent(value)} %`)}</title>`;
      const size = `width="${(barWidth - 2).toFixed(1)}" height="${(axis.zero - Number(axis.at(value))).toFixed(1)}"`;
      const at = `x="${x.toFixed(1)}" y="${axis.at(value)}"`;
      const whisker = axis.whisker((x + barWidth / 2 - 1).toFixed(1), interval, 'currentColor');
      return `<rect ${at} ${size} fill="${colours[index % colours.length]}">${hint}</rect>${whisker}`;
    });
    const y = height - margin.bottom + 16;
    return [...rectangles, label(center, y, name, isSlanted ? 'end' : 'middle', isSlanted)];
  });
  return figure(title, [...axis.lines(), ...drawn], series, isSlanted ? longest / 2 : 0);
}

/** Text that may stand in HTML and in its attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function figure(title: string, content: readonly string[], names: readonly string[], below = 0): string {
  const key = names.map(
    (name, index) =>
      `<li><span style="background:${colours[index % colours.length]}"></span>${escapeHtml(name)}</li>`,
  );
  const svg =
    `<svg viewBox="0 0 ${width} ${height + below}" role="img" aria-label="${escapeHtml(title)}" ` +
    `xmlns="http://www.w3.org/2000/svg">${content.join('')}</svg>`;
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>${svg}<ul class="key">${key.join('')}</ul></figure>`;
}

/** The vertical axis: from 0 to the least of a few ends that is not below any of the shares. */
class ShareAxis {
  readonly zero = margin.top + plotHeight;
  private readonly end: number;

  constructor(shares: readonly number[]) {
    const largest = Math.max(...shares);
    this.end = [0.04, 0.1, 0.2, 0.4, 0.6, 0.8].find((end) => largest <= end) ?? 1;
  }

  /** Where a share is drawn. */
  at(share: number): string {
    return (this.zero - (share / this.end) * plotHeight).toFixed(1);
  }

  whisker(x: string, [low, high]: Interval, colour: string): string {
    return `<path d="M${x} ${this.at(low)}V${this.at(high)}" stroke="${colour}"/>`;
  }

  lines(): string[] {
    return [0, 0.25, 0.5, 0.75, 1].flatMap((part) => {
      const y = this.at(part * this.end);
      return [
        `<path d="M${margin.left} ${y}H${width - margin.right}" stroke="currentColor" opacity="0.2"/>`,
        label(margin.left - 8, Number(y) + 4, String(Math.round(100 * part * this.end)), 'end'),
      ];
    });
  }
}

function label(x: number, y: number, text: string, anchor: 'middle' | 'end', slanted = false): string {
  const at = `x="${x.toFixed(1)}" y="${y.toFixed(1)}"`;
  const turn = slanted ? ` transform="rotate(-30 ${x.toFixed(1)} ${y.toFixed(1)})"` : '';
  return `<text ${at}${turn} text-anchor="${anchor}">${escapeHtml(text)}</text>`;
}
