/** What a number of questions can show: the smallest true difference that a paired test would find. */

/** The tests' level, two-sided, and the probability with which the difference is found. */
export const level = 0.05;
export const power = 0.8;
/** Quantiles of the normal distribution at 1 - level / 2 and at the power. */
const quantiles = 1.959964 + 0.841621;
/** Differences of one sign that an exact two-sided test needs: 2 / 2^6 <= 0.05 < 2 / 2^5. */
const fewestDiscordant = 6;

/**
 * The smallest true difference of means that a single test of these questions finds with probability 0.8 at level 0.05:
 * (z(0.975) + z(0.8)) s / sqrt(n), s the standard deviation of the questions' differences (for right and wrong answers
 * s^2 = share of questions that differ - difference^2; see Card et al., With Little Power Comes Great Responsibility,
 * EMNLP 2020, and Miller, Adding Error Bars to Evals, arXiv 2411.00640, section 5). A difference of right and wrong
 * answers is at least 6 questions, with fewer McNemar's exact test cannot reach 0.05. Holm's correction asks for more.
 * @param differences one for each question
 * @returns undefined where nothing varies, so that nothing can be said
 */
export function smallestDetectable(differences: Float64Array, isBinary: boolean): number | undefined {
  const items = differences.length;
  if (items < 2) return undefined;
  const mean = differences.reduce((sum, value) => sum + value, 0) / items;
  const squares = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const bound = quantiles * Math.sqrt(squares / (items - 1) / items);
  if (!isBinary) return bound > 0 ? bound : undefined;
  const least = Math.max(bound, fewestDiscordant / items);
  return least <= 1 ? least : undefined;
}
