import { commitsOf, thisCommit } from './commit.ts';
import { describeMachine, type Machine, thisMachine } from './machine.ts';
import type { ChaosChoice, Goal, Plot, Row, Suite, SuiteContext } from './suite.ts';
import { cellText, terminalTable } from './table.ts';

/** What a suite found, with all that a reader needs to check it. `--json` writes it as it is. */
export interface BenchReport {
  readonly suite: string;
  readonly machine: Machine;
  /** The commit measured; `+changes` when the checkout differed from it, and two commits when it went on to another meanwhile. */
  readonly commit: string;
  /** ISO 8601. */
  readonly date: string;
  readonly seed: number;
  /** Repeats this run. */
  readonly command: string;
  readonly quick: boolean;
  readonly rows: readonly Row[];
  readonly goals: readonly Goal[];
  readonly plots: readonly Plot[];
  readonly notes: readonly string[];
}

/** Runs `suite` and reports. Whatever the suite throws goes on. */
export async function runSuite(
  suite: Suite,
  context: SuiteContext,
  commitNow: () => Promise<string> = thisCommit,
): Promise<BenchReport> {
  const { seed, threads, quick, cells, chaos } = context;
  const chosen = cells?.map(({ sequences, context }) => `${sequences}x${context}`).join();
  // Processes start all through the run, each with the code that lies there then.
  const before = await commitNow();
  const { rows, goals, plots, notes } = await suite.run(context);
  return {
    suite: suite.name,
    machine: thisMachine(),
    commit: commitsOf(before, await commitNow()),
    date: new Date().toISOString(),
    seed,
    command: `rondo bench ${suite.name}${quick ? ' --quick' : ''}${chosen ? ` --cells ${chosen}` : ''}${chaosFlags(chaos)} --seed ${seed} --threads ${threads}`,
    quick,
    rows,
    goals,
    plots,
    notes,
  };
}

const chaosFlags = ({ bundle, minutes, faults, placement, toZero }: ChaosChoice = {}): string =>
  [
    bundle === undefined ? '' : ` --bundle ${bundle}`,
    minutes === undefined ? '' : ` --minutes ${minutes}`,
    faults === undefined ? '' : ` --faults ${faults}`,
    placement === undefined ? '' : ` --placement ${placement}`,
    toZero === true ? ' --to-zero' : '',
  ].join('');

/** The report for a terminal: table, each goal as met or NOT MET, and where it was measured. */
export const reportText = (report: BenchReport): string =>
  [
    terminalTable(report.rows),
    report.goals.length > 0 ? `\n${terminalTable(goalRows(report.goals))}` : '',
    ...report.notes.map((note) => `\n${note}\n`),
    `\n${describeMachine(report.machine)} · commit ${report.commit}\n`,
  ].join('');

/** Goals as rows of a table of their own. */
export const goalRows = (goals: readonly Goal[]): Row[] =>
  goals.map(({ name, goal, measured, met }) => ({
    goal: name,
    bound: goal,
    measured: cellText(measured),
    '': met ? 'met' : 'NOT MET',
  }));
