/** A chart of curves over training steps (uPlot) in the colours of the theme. */
import uPlot from 'uplot';
import { element, setVisible } from '../dom.ts';
import type { Curves } from '../trainingState.ts';

/** Curves differ in dash as well as in colour. */
const colours = ['charts-blue', 'charts-orange', 'charts-green', 'charts-purple', 'charts-foreground'];
const dashes = [[], [8, 4], [2, 3], [8, 3, 2, 3], [14, 4]];
/** The same in the legend. */
const borders = ['solid', 'dashed', 'dotted', 'double', 'groove'];
const height = 220;

export interface ChartOptions {
  title: string;
  /** The value axis: from 0 to 1, or as the values are. */
  range?: [number, number];
  format: (value: number) => string;
  /** Drawn faintly, behind the others. */
  faint?: string;
}

/** Distances of ticks on the axis of steps: there is no half step. */
const wholeSteps = [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) =>
  [1, 2, 5].map((digit) => digit * 10 ** power),
);

/** Curves over training steps on a canvas; what it shows stands in words in its label and in the table below. */
export function chartView({ title, range, format, faint }: ChartOptions): {
  root: HTMLElement;
  update(curves: Curves): void;
} {
  const place = element('div', { class: 'chart-canvas', role: 'img' });
  const root = element('figure', { class: 'chart' }, element('figcaption', {}, title), place);
  let chart: uPlot | null = null;
  let labels = '';
  let shown: Curves | null = null;

  const draw = () => {
    if (shown === null || shown.steps.length === 0 || place.clientWidth === 0) return;
    const data: uPlot.AlignedData = [shown.steps, ...shown.curves.map(({ values }) => values)];
    const nextLabels = JSON.stringify(shown.curves.map(({ label }) => label));
    if (chart === null || nextLabels !== labels) {
      chart?.destroy();
      labels = nextLabels;
      chart = new uPlot(optionsFor(shown), data, place);
    } else chart.setData(data);
  };
  const optionsFor = ({ curves }: Curves): uPlot.Options => ({
    width: place.clientWidth,
    height,
    legend: { markers: { dash: (_, index) => borders[(index - 1) % borders.length]! } },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false }, ...(range && { y: { range } }) },
    axes: [
      { ...axis(), incrs: wholeSteps },
      { ...axis(), values: (_, ticks) => ticks.map(format), size: 56 },
    ],
    series: [
      { label: 'Step', value: (_, value: number | null) => (value === null ? '' : String(value)) },
      ...curves.map(({ label, values }, index): uPlot.Series => {
        const isFaint = label === faint;
        const few = values.filter((value) => value !== null).length < 60;
        return {
          label,
          stroke: () => themeColour(isFaint ? 'charts-lines' : colours[index % colours.length]!),
          width: isFaint ? 1 : 2,
          dash: isFaint ? [] : dashes[index % dashes.length]!,
          spanGaps: true,
          points: { show: !isFaint && few, size: 5 },
          value: (_, value: number | null) => (value === null ? '' : format(value)),
        };
      }),
    ],
  });

  new ResizeObserver(() => {
    if (chart && place.clientWidth > 0) chart.setSize({ width: place.clientWidth, height });
    else draw();
  }).observe(place);
  // VS Code changes the theme by new variables and a new class.
  new MutationObserver(() => chart?.redraw(false)).observe(document.body, { attributeFilter: ['class'] });

  return {
    root,
    update(curves) {
      shown = curves;
      setVisible(root, curves.steps.length > 0 && curves.curves.length > 0);
      place.setAttribute('aria-label', describe(title, curves, format));
      draw();
    },
  };
}

function axis(): uPlot.Axis {
  return {
    stroke: () => themeColour('foreground'),
    grid: { stroke: () => themeColour('panel-border'), width: 1, dash: [2, 4] },
    ticks: { stroke: () => themeColour('panel-border'), width: 1 },
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
  };
}

function themeColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--vscode-${name}`).trim() || 'gray';
}

/** What the curves say, in one sentence each: the last value. */
function describe(title: string, { curves }: Curves, format: (value: number) => string): string {
  const last = curves.map(({ label, values }) => {
    const value = values.findLast((candidate) => candidate !== null);
    return value == null ? `${label}: none yet` : `${label}: ${format(value)}`;
  });
  return `${title}. Latest values: ${last.join(', ')}.`;
}
