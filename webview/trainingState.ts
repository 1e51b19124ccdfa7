/** The training panel's state, and what the curves and the table show of it, as pure functions. */
import type { HostToTrainingPanel, TrainingPanelState } from '../src/protocol/trainingPanel.ts';
import type { TrainingEvent, TrainingStep, TrainingValidation } from '../src/protocol/training.ts';

export function receiveTraining(
  state: TrainingPanelState | null,
  message: HostToTrainingPanel,
): TrainingPanelState | null {
  switch (message.type) {
    case 'state':
      return message.state;
    case 'patch':
      return state && { ...state, ...message.patch };
    case 'events':
      return state && message.events.reduce(apply, state);
    case 'reply':
      return state;
  }
}

function apply(state: TrainingPanelState, event: TrainingEvent): TrainingPanelState {
  switch (event.type) {
    case 'start': {
      const isKept = ({ step }: { step: number }) => step <= event.step;
      const { steps, validations } = state;
      return {
        ...state,
        status: { kind: 'running' },
        step: event.step,
        steps: steps.filter(isKept),
        validations: validations.filter(isKept),
      };
    }
    case 'step':
      return { ...state, step: event.step, steps: [...state.steps, event] };
    case 'validation':
      return { ...state, validations: [...state.validations, event] };
    case 'saved':
      return state;
    case 'done': {
      const { step, writtenStep, reason } = event;
      return { ...state, step, status: { kind: 'done', writtenStep, reason } };
    }
  }
}

/** Values over the same steps, one list per curve; null where a curve has no value. */
export interface Curves {
  steps: number[];
  curves: { label: string; values: (number | null)[] }[];
}

/** The loss of every step, its running mean (steps differ in k and in difficulty), and the validation loss. */
export function lossCurves({ steps, validations }: TrainingPanelState): Curves {
  const places = mergedSteps(steps, validations);
  return {
    steps: places,
    curves: [
      { label: 'Each step', values: at(places, steps, ({ loss }) => loss) },
      { label: 'Mean', values: at(places, runningMean(steps), ({ loss }) => loss) },
      { label: 'Validation', values: at(places, validations, ({ loss }) => loss) },
    ],
  };
}

/** Exact match on the validation data, one curve for each k. */
export function exactMatchCurves({ validations }: TrainingPanelState): Curves {
  const places = mergedSteps([], validations);
  return {
    steps: places,
    curves: measuredK(validations).map((k) => ({
      label: `k=${k}`,
      values: at(places, validations, (validation) => exactMatchAt(validation, k)),
    })),
  };
}

export function measuredK(validations: readonly TrainingValidation[]): number[] {
  return [...new Set(validations.flatMap(({ exactMatch }) => exactMatch.map(({ k }) => k)))].sort(
    (a, b) => a - b,
  );
}

export function exactMatchAt({ exactMatch }: TrainingValidation, k: number): number | null {
  return exactMatch.find((measured) => measured.k === k)?.exactMatch ?? null;
}

function mergedSteps(steps: readonly TrainingStep[], validations: readonly TrainingValidation[]): number[] {
  const numbers = [...steps, ...validations].map(({ step }) => step);
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function at<Item extends { step: number }>(
  places: readonly number[],
  items: readonly Item[],
  value: (item: Item) => number | null,
): (number | null)[] {
  const byStep = new Map(items.map((item) => [item.step, value(item)]));
  return places.map((step) => byStep.get(step) ?? null);
}

/** Exponential running mean, started without a bias towards 0 as Adam's moments are. */
function runningMean(steps: readonly TrainingStep[]): { step: number; loss: number }[] {
  const keep = 0.95;
  let mean = 0;
  return steps.map(({ step, loss }, place) => {
    mean = keep * mean + (1 - keep) * loss;
    return { step, loss: mean / (1 - keep ** (place + 1)) };
  });
}

/** Seconds that the steps still to come will take, by the median of the last ones; null before there is one. */
export function remainingSeconds({ steps, step, settings }: TrainingPanelState): number | null {
  const recent = steps
    .slice(-20)
    .map(({ seconds }) => seconds)
    .sort((a, b) => a - b);
  const median = recent[Math.floor(recent.length / 2)];
  return median === undefined ? null : median * Math.max(0, settings.steps - step);
}
