/** Watches how long the event loop of this process stands still, and whether its own work was the reason. */

/** All times in milliseconds. */
export interface EventLoopReport {
  wallMs: number;
  /** Processor time of this thread, what the watching itself costs (a timer each millisecond) included. */
  cpuMs: number;
  /** Longest time in which the event loop did not turn, by the clock. */
  longestMs: number;
  /** Processor time of this thread within that time; the rest it waited for a processor or for the system. */
  longestCpuMs: number;
  /** The most that this thread worked between two turns of the event loop, whenever that was. */
  mostWorkMs: number;
  /** 99 of 100 turns were late by less. */
  p99Ms: number;
  /** Times in which the event loop did not turn for more than 50 ms. */
  over50: number;
}

const periodMs = 1;

/** Watches the event loop while `work` runs. */
export async function watchEventLoop(work: () => PromiseLike<unknown>): Promise<EventLoopReport> {
  const turns: { lateMs: number; cpuMs: number }[] = [];
  const start = performance.now();
  const cpuAtStart = process.threadCpuUsage();
  let last = start;
  let cpu = cpuAtStart;
  let timer: NodeJS.Timeout;
  const turn = (): void => {
    turns.push({
      lateMs: performance.now() - last - periodMs,
      cpuMs: milliseconds(process.threadCpuUsage(cpu)),
    });
    last = performance.now();
    cpu = process.threadCpuUsage();
    timer = setTimeout(turn, periodMs);
  };
  timer = setTimeout(turn, periodMs);
  try {
    await work();
    // A last turn: what ended the work may have stood in its way.
    await new Promise((resolve) => setTimeout(resolve, 2 * periodMs));
  } finally {
    clearTimeout(timer);
  }
  const wallMs = performance.now() - start;
  const longest = turns.reduce((a, b) => (b.lateMs > a.lateMs ? b : a), { lateMs: 0, cpuMs: 0 });
  const sorted = turns.map(({ lateMs }) => lateMs).sort((a, b) => a - b);
  return {
    wallMs: tenths(wallMs),
    cpuMs: tenths(milliseconds(process.threadCpuUsage(cpuAtStart))),
    longestMs: tenths(longest.lateMs),
    longestCpuMs: tenths(longest.cpuMs),
    mostWorkMs: tenths(Math.max(0, ...turns.map(({ cpuMs }) => cpuMs))),
    p99Ms: tenths(sorted[Math.floor(0.99 * sorted.length)] ?? 0),
    over50: turns.filter(({ lateMs }) => lateMs > 50).length,
  };
}

function milliseconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
