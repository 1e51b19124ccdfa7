/**
 * Passages that have nothing to do with anyone's documents, augmented by hand: what the adapters of the placebo are made of.
 * An answer that gets better with these adapters got better by their form, not by knowledge.
 */
import type { AugmentedPassage } from './augmentedData.ts';

export const unrelatedPassages: readonly AugmentedPassage[] = [
  {
    passage:
      'The tide table in the harbour office is printed once a year. Low water falls about six hours after high ' +
      'water, and the highest tides come a day or two after the full moon.',
    rewrite:
      'Once every year the office at the harbour prints its table of tides. Some six hours lie between high water ' +
      'and low water; a day or two after a full moon the water stands highest.',
    questionAnswers: [
      {
        question: 'How often is the tide table printed?',
        answer: 'Once a year',
        fullAnswer: 'The tide table is printed once a year.',
      },
      {
        question: 'How long after high water does low water fall?',
        answer: 'About six hours',
        fullAnswer: 'Low water falls about six hours after high water.',
      },
      {
        question: 'When do the highest tides come?',
        answer: 'A day or two after the full moon',
        fullAnswer: 'The highest tides come a day or two after the full moon.',
      },
    ],
  },
  {
    passage:
      'A sourdough starter is fed with equal weights of flour and water. At room temperature it doubles in about ' +
      'five hours; in the refrigerator it keeps for a week without being fed.',
    rewrite:
      'To feed a sourdough starter one takes as much water as flour, by weight. It grows to twice its size within ' +
      'some five hours in a warm room, and lasts a week unfed in the refrigerator.',
    questionAnswers: [
      {
        question: 'What is a sourdough starter fed with?',
        answer: 'Equal weights of flour and water',
        fullAnswer: 'A sourdough starter is fed with equal weights of flour and water.',
      },
      {
        question: 'In how many hours does the starter double at room temperature?',
        answer: 'About five hours',
        fullAnswer: 'At room temperature the starter doubles in about five hours.',
      },
      {
        question: 'How long does the starter keep in the refrigerator?',
        answer: 'A week',
        fullAnswer: 'In the refrigerator the starter keeps for a week.',
      },
    ],
  },
  {
    passage:
      'The mountain hut at the northern pass has forty beds and opens in June. Its warden, who keeps two donkeys, ' +
      'rings a bell when fog comes up, so that walkers find the path.',
    rewrite:
      'From June on, forty beds are free in the hut at the northern pass. When fog rises the warden, the keeper of ' +
      'two donkeys, sounds a bell that leads walkers to the path.',
    questionAnswers: [
      {
        question: 'How many beds has the mountain hut?',
        answer: 'Forty',
        fullAnswer: 'The mountain hut has forty beds.',
      },
      {
        question: 'When does the hut open?',
        answer: 'June',
        fullAnswer: 'The hut opens in June.',
      },
      {
        question: 'What does the warden ring when fog comes up?',
        answer: 'A bell',
        fullAnswer: 'The warden rings a bell when fog comes up.',
      },
    ],
  },
];

/** So many of the passages, as many as the question has of its own: the two then differ in content alone. At least one. */
export function unrelatedTexts(count: number): string[] {
  return unrelatedPassages.slice(0, Math.max(1, count)).map(({ passage }) => passage);
}
