import type { Manifest } from '@rondo/bundle';
import { depthScores, type Pair } from './depth-scores.ts';
import { exitScores, windowsDecoded, windowsHeld, windowsTogether } from './exit-scores.ts';
import { askedExits, type EvalRule, measuredRules } from './exit-thresholds.ts';
import type { Scores } from './metrics.ts';
import type { Protocol } from './protocol.ts';
import { answersByDepth, answersByRule } from './question-scores.ts';
import { type Answers, positionsOf } from './questions.ts';
import type { SuiteSettings } from './suite.ts';
import type { WindowScore } from './window-scores.ts';
import type { Window } from './windows.ts';

/** How a model is run: all rows leave after so many passes, or rows after the prompt when a rule says so. */
export type ExitChoice =
  | { readonly kind: 'depth'; readonly passes: number }
  | {
      readonly kind: 'threshold';
      readonly policy: string;
      readonly threshold: number;
      /** Share of the passes that can be saved which the threshold was measured to save; none for a given one. */
      readonly saving?: number | undefined;
    };

/** One model run in one way. */
export interface Cell {
  readonly exit: ExitChoice;
  readonly scores: Scores;
}

/** All that a suite asks, with A's greedy text. */
export interface Units extends Protocol {
  readonly greedy: readonly Window[];
  readonly settings: SuiteSettings;
}

type Stepped = (units: number) => void;

/** B of `pair` run in every way: every depth, all passes last, then every threshold. `stepped` is told of units done. */
export async function cellsOf(pair: Pair, units: Units, stepped: Stepped): Promise<Cell[]> {
  const { manifest } = pair.b.bundle;
  const asked = askedExits(manifest, units.settings.exits);
  const depths = await depthCells(pair, units, stepped);
  if (asked.length === 0) return depths;
  const rules = await measuredRules(pair.b, asked, units.windows.slice(0, units.settings.exits.windows));
  return [...depths, ...(await thresholdCells(pair, units, rules, stepped))];
}

async function depthCells(pair: Pair, units: Units, stepped: Stepped): Promise<Cell[]> {
  const exits = Array.from({ length: pair.b.bundle.manifest.maxDepth }, (_, pass) => pass + 1);
  const windows: WindowScore[][] = [];
  const greedy: WindowScore[][] = [];
  const questions: Answers[][] = [];
  for (const [list, found] of [
    [units.windows, windows],
    [units.greedy, greedy],
  ] as const) {
    for (const window of list) {
      found.push(await depthScores(pair, window, exits));
      stepped(1);
    }
  }
  for (const question of units.questions) {
    questions.push(await answersByDepth(pair.b, question, exits));
    stepped(1);
  }
  return exits.map((passes, at) => ({
    exit: { kind: 'depth', passes },
    scores: { windows: column(windows, at), greedy: column(greedy, at), questions: column(questions, at) },
  }));
}

async function thresholdCells(
  pair: Pair,
  units: Units,
  rules: readonly EvalRule[],
  stepped: Stepped,
): Promise<Cell[]> {
  const together = windowsTogether(pair, rules.length, units.positions);
  const scored = async (windows: readonly Window[]): Promise<WindowScore[][]> => {
    const found: WindowScore[][] = [];
    for (let first = 0; first < windows.length; first += together) {
      const group = windows.slice(first, first + together);
      found.push(...(await exitScores(pair, group, rules)));
      stepped(group.length);
    }
    return found;
  };
  const windows = await scored(units.windows.slice(0, units.settings.exits.windows));
  const greedy = await scored(units.greedy);
  const questions: Answers[][] = [];
  for (const question of units.questions) {
    questions.push(await answersByRule(pair.b, question, rules));
    stepped(1);
  }
  return rules.map(({ policy, threshold, saving }, at) => ({
    exit: { kind: 'threshold', policy, threshold, ...(saving !== undefined && { saving }) },
    scores: { windows: column(windows, at), greedy: column(greedy, at), questions: column(questions, at) },
  }));
}

const column = <Value>(rows: readonly (readonly Value[])[], at: number): Value[] =>
  rows.map((row) => row[at]!);

/** Units that `cellsOf` steps through. */
export function unitsOf(manifest: Manifest, protocol: Protocol, { greedy, exits }: SuiteSettings): number {
  const { windows, questions } = protocol;
  const rest = Math.min(greedy.max, windows.length) + questions.length;
  const live = askedExits(manifest, exits).length > 0;
  return windows.length + rest + (live ? Math.min(exits.windows, windows.length) + rest : 0);
}

/** Pages at one depth for all that is ever held at once, as A or as B. */
export function pagesOf(manifest: Manifest, protocol: Protocol, { greedy, exits }: SuiteSettings): number {
  const { maxDepth, pagePositions } = manifest;
  const pages = (positions: number) => Math.ceil(positions / pagePositions);
  const rules = askedExits(manifest, exits).length;
  // After each number of passes a coda has pages of its own.
  const sequences = Math.max(
    maxDepth + 1,
    windowsHeld(manifest, protocol.positions, Math.max(exits.windows, greedy.max)),
    // A beside itself holds its own rows of a window, what is given of it, and a fork for every rule.
    rules > 0 ? (rules + 2) * windowsDecoded(manifest, rules, protocol.positions) : 0,
  );
  const writing = Math.min(greedy.max, protocol.windows.length) * pages(greedy.prompt + greedy.tokens);
  const asking = protocol.questions.map(
    (question) => (question.choices.length + 1) * pages(positionsOf(question)) * Math.max(maxDepth, rules),
  );
  return Math.max(sequences * pages(protocol.positions), writing, ...asking);
}
