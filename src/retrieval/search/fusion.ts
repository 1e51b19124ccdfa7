/** Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), with their constant. */
const rankConstant = 60;

/** Scores 1 / (60 + rank), summed over the lists that have the item; ranks count from 1. */
export function fuseRanks<Id>(rankings: readonly (readonly Id[])[]): Map<Id, number> {
  const scores = new Map<Id, number>();
  for (const ranking of rankings) {
    ranking.forEach((id, index) => {
      scores.set(id, (scores.get(id) ?? 0) + 1 / (rankConstant + index + 1));
    });
  }
  return scores;
}
