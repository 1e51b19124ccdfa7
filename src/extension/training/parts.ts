import type { ComparisonParts } from '../panel/comparison.ts';
import type { ComparisonSession } from '../panel/comparisonSession.ts';

/** What training needs of the extension. */
export interface TrainingParts extends ComparisonParts {
  /** Of the comparison: its model is the first choice. */
  session: ComparisonSession;
}
