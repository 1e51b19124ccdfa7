/** McNemar's exact test: two conditions that answered the same questions, each answer right or wrong. */

/**
 * The two-sided p of the exact test: under the null hypothesis each of the questions where the conditions differ is a
 * toss of a fair coin, so that p = min(1, 2 P(X <= min(won, lost))), X ~ Binomial(won + lost, 1/2).
 * (McNemar, Psychometrika 12, 1947, in its exact form: statsmodels' `mcnemar(exact=True)`.)
 * @param won questions that only the second condition answered right
 * @param lost questions that only the first one answered right
 */
export function exactMcNemar(won: number, lost: number): number {
  const discordant = won + lost;
  // terms are summed as logarithms, as 2^-n leaves the range of numbers from n = 1075 on
  let logTerm = -discordant * Math.LN2;
  let tail = 0;
  for (let successes = 0; successes <= Math.min(won, lost); successes++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((discordant - successes) / (successes + 1));
  }
  return Math.min(1, 2 * tail);
}
