/**
 * Words of English questions that say nothing about the subject: not searched for, and no evidence by themselves. Kept
 * short: a word that is rare in a corpus costs nothing, and one that names something ("will", "may", "it") is left out of
 * a search only where other words remain.
 */
export const stopWords: ReadonlySet<string> = new Set(
  (
    'a an and are as at be been being by can could did do does for from had has have how i if in into is it its ' +
    'me my of on or our shall should so such than that the their them then there these they this those to was we ' +
    'were what when where which who whom whose why will with would you your'
  ).split(' '),
);
