import type { RondoProcess } from './rondo-process.ts';

/** One line of a suite's table. All rows of a suite have the same columns, in the same order. */
export type Row = Readonly<Record<string, string | number>>;

export interface Goal {
  readonly name: string;
  /** The bound in words, such as `≥ 2.5`. */
  readonly goal: string;
  readonly measured: string | number;
  readonly met: boolean;
}

/** A plot of the suite's rows. */
export interface Plot {
  /** Kebab case; the file is docs/benchmarks/<suite>-<name>.svg. */
  readonly name: string;
  /** Says what is to be seen; the alternative text of the picture. */
  readonly title: string;
  /** A vega-lite specification. Where it has no `data`, the rows are the data. */
  readonly spec: object;
}

export interface SuiteResult {
  readonly rows: readonly Row[];
  readonly goals: readonly Goal[];
  readonly plots: readonly Plot[];
  /** What a reader must know to read the table: how it was measured, what is missing and why. One paragraph each. */
  readonly notes: readonly string[];
}

/** Sequences side by side, and how many positions each holds in the end. */
export interface Cell {
  readonly sequences: number;
  readonly context: number;
}

/** What the caller may choose of a run of faults; absent for the suite's own choice. */
export interface ChaosChoice {
  /** A bundle directory. */
  readonly bundle?: string;
  readonly minutes?: number;
  readonly faults?: number;
  readonly placement?: 'homed' | 'staged';
  /** Also leave no worker at all, for a while. */
  readonly toZero?: boolean;
}

export interface SuiteContext {
  /** Ends within five minutes: fewer cells, fewer repeats. */
  readonly quick: boolean;
  /** The only cells to measure, for suites with `takesCells`; absent for the suite's own choice. */
  readonly cells?: readonly Cell[];
  /** For suites with `takesChaos`. */
  readonly chaos?: ChaosChoice;
  /** Every random choice of the suite follows from it. */
  readonly seed: number;
  /** Threads of each engine measured. */
  readonly threads: number;
  /** Directory for what is made or installed on the way; may be deleted at any time between runs. */
  readonly cache: string;
  /** Tells whoever waits what is being done. */
  readonly progress: (text: string) => void;
  /** Aborted when the user stops the run; the suite ends its processes and throws. */
  readonly signal: AbortSignal;
  /** Starts `rondo <args>` as a process of its own; resolves when it has printed its `ready` line. */
  readonly launch: (...args: string[]) => Promise<RondoProcess>;
  /** The same, with its standard error appended to the file `log`. */
  readonly launchLogged: (log: string, ...args: string[]) => Promise<RondoProcess>;
}

/** Whether a suite measures all that it chooses by itself, and nothing else: that is what documents show. */
export const isWhole = ({ quick, cells, chaos }: Pick<SuiteContext, 'quick' | 'cells' | 'chaos'>): boolean =>
  !quick && cells === undefined && chaos === undefined;

export interface Suite {
  readonly name: string;
  /** One line for `rondo bench --help`. */
  readonly summary: string;
  /** Whether the caller may choose its cells. */
  readonly takesCells?: boolean;
  /** Whether the caller may choose its faults. */
  readonly takesChaos?: boolean;
  /** The page below docs that shows it; by default BENCHMARKS.md. */
  readonly page?: string;
  run(context: SuiteContext): Promise<SuiteResult>;
}

/** A goal that is met by `bound` or more. */
export const atLeast = (name: string, bound: number, measured: number, unit = ''): Goal => ({
  name,
  goal: `≥ ${bound}${unit}`,
  measured,
  met: measured >= bound,
});

/** A goal that is met by `bound` or less. */
export const atMost = (name: string, bound: number, measured: number, unit = ''): Goal => ({
  name,
  goal: `≤ ${bound}${unit}`,
  measured,
  met: measured <= bound,
});
