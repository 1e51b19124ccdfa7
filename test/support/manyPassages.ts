/** As many augmented passages as a test wants, each with a content of its own. */
import type { AugmentedPassage } from '../../src/prag/augmentedData.ts';

export function manyPassages(count: number): AugmentedPassage[] {
  return Array.from({ length: count }, (_, n) => ({
    passage: `Lighthouse ${n} was built in ${1800 + n}. It stands ${n + 3} miles off the coast.`,
    rewrite: `Off the coast, at ${n + 3} miles, stands lighthouse ${n}, which dates from ${1800 + n}.`,
    questionAnswers: [
      ['When was it built', String(1800 + n)],
      ['How far off the coast is it', `${n + 3} miles`],
      ['Which lighthouse is it', `Lighthouse ${n}`],
    ].map(([question, answer]) => ({ question: question!, answer: answer!, fullAnswer: `It is ${answer}.` })),
  }));
}
