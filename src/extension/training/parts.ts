/** The parts of the extension that training is given; a file of its own, as several files of this folder take it. */
import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';

/** What training needs of the extension. */
export interface TrainingParts extends ComparisonParts {
  /** Of the comparison: its model is the first choice. */
  session: ComparisonSession;
}
