/** The scores of several conditions over the same questions, in one order, as paired tests need them. */
import { UserError } from '../../protocol/errors.ts';

/** One answer's scores. */
export interface ScoredAnswer {
  item: string;
  /** What the answer's condition is called in its file. */
  variant: string;
  /** Passages in the prompt at most, where the file says it. */
  passages?: number | undefined;
  scores: Readonly<Record<string, number>>;
  /** File and line, for messages. */
  where: string;
}

/** Answers that belong together. */
export interface ScoreSource {
  /** For messages and, where sources have conditions of one name, before the name. */
  name: string;
  answers: readonly ScoredAnswer[];
}

export interface ScoredCondition {
  id: string;
  variant: string;
  passages: number | undefined;
  /** By metric, a value for each question, in one order for all conditions. */
  scores: ReadonlyMap<string, Float64Array>;
}

export interface ScoreTable {
  /** The questions' ids, in the order of the scores. */
  items: readonly string[];
  metrics: readonly string[];
  conditions: readonly ScoredCondition[];
}

interface Group {
  source: string;
  variant: string;
  passages: number | undefined;
  byItem: Map<string, ScoredAnswer>;
}

/** How many questions a message names. */
const namedItems = 3;

/**
 * Arranges answers by condition and question. A condition is a variant at a number of passages; its id is the variant's
 * name, followed by the number (`baseline/3p`) where the variant has several, and after the source's name
 * (`run-1/baseline`) where sources share a name.
 * @throws UserError if two answers are for the same question under the same condition, if a condition answers other
 *   questions than the first one, or if there is no metric that all have
 */
export function scoreTable(sources: readonly ScoreSource[]): ScoreTable {
  const groups = sources.flatMap(groupByCondition);
  const [first] = groups;
  if (!first) throw new UserError('There are no answers to compare.');
  for (const group of groups) checkItems(first, group);
  const items = [...first.byItem.keys()];
  const metrics = sharedMetrics(groups);
  const ids = conditionIds(groups);
  const conditions = groups.map(({ variant, passages, byItem }, index) => {
    const column = (metric: string): Float64Array =>
      Float64Array.from(items, (item) => byItem.get(item)!.scores[metric]!);
    const scores = new Map(metrics.map((metric) => [metric, column(metric)]));
    return { id: ids[index]!, variant, passages, scores };
  });
  return { items, metrics, conditions };
}

function groupByCondition({ name, answers }: ScoreSource): Group[] {
  const groups = new Map<string, Group>();
  for (const answer of answers) {
    const { item, variant, passages, where } = answer;
    const key = JSON.stringify([variant, passages]);
    const group: Group = groups.get(key) ?? { source: name, variant, passages, byItem: new Map() };
    groups.set(key, group);
    const earlier = group.byItem.get(item);
    if (earlier) {
      throw new UserError(
        `${where} answers question ${JSON.stringify(item)} as ${variant} again, after ${earlier.where}: ` +
          'expected one answer for each question and condition.',
      );
    }
    group.byItem.set(item, answer);
  }
  return [...groups.values()];
}

function checkItems(first: Group, group: Group): void {
  const missing = [...first.byItem.keys()].filter((item) => !group.byItem.has(item));
  const added = [...group.byItem.keys()].filter((item) => !first.byItem.has(item));
  if (missing.length === 0 && added.length === 0) return;
  const differences = [
    ...(missing.length > 0 ? [`without ${list(missing)}`] : []),
    ...(added.length > 0 ? [`with ${list(added)} besides`] : []),
  ];
  throw new UserError(
    `The answers are not for the same questions: ${describe(first)} answers ${first.byItem.size}, ${describe(group)} ` +
      `${group.byItem.size}, ${differences.join(' and ')}. Paired tests need every question under every condition: ` +
      'let an interrupted run finish, or compare runs over the same data.',
  );
}

function sharedMetrics(groups: readonly Group[]): string[] {
  const metricsOf = groups.map(({ byItem }) => [
    ...new Set([...byItem.values()].flatMap(({ scores }) => Object.keys(scores))),
  ]);
  groups.forEach(({ variant, byItem }, index) => {
    for (const { scores, where } of byItem.values()) {
      const missing = metricsOf[index]!.find((metric) => scores[metric] === undefined);
      if (missing !== undefined) {
        throw new UserError(`${where} has no number in "${missing}", other answers of ${variant} have.`);
      }
    }
  });
  const metrics = metricsOf[0]!.filter((metric) => metricsOf.every((others) => others.includes(metric)));
  if (metrics.length > 0) return metrics;
  throw new UserError(
    'The answers share no metric: expected numbers such as "exactMatch" or "f1" in every line.',
  );
}

function conditionIds(groups: readonly Group[]): string[] {
  const sizes = (group: Group): number =>
    new Set(groups.filter(({ variant }) => variant === group.variant).map(({ passages }) => passages)).size;
  const ids = groups.map((group) =>
    group.passages !== undefined && sizes(group) > 1 ? `${group.variant}/${group.passages}p` : group.variant,
  );
  if (new Set(ids).size === ids.length) return ids;
  return ids.map((id, index) => `${groups[index]!.source}/${id}`);
}

function describe({ source, variant, passages }: Group): string {
  return `${source}: ${variant}${passages === undefined ? '' : ` with ${passages} passages`}`;
}

function list(items: readonly string[]): string {
  const named = items.slice(0, namedItems).map((item) => JSON.stringify(item));
  const more = items.length > namedItems ? ` and ${items.length - namedItems} more` : '';
  return named.join(', ') + more;
}
