import type { PassRun, RequestDetail } from '../request-detail.ts';
import { ms } from './figures.ts';

/** One line of the waterfall: what one worker ran of a request at one depth. */
export interface Lane {
  readonly worker: string;
  readonly depth: number;
  /** In order of time. */
  readonly passes: readonly PassRun[];
}

/** When the rows were ready to run, when they ran and when that was over. */
export const runFrom = ({ start_ms, wait_ms }: PassRun): number => start_ms + wait_ms;
export const endOf = (pass: PassRun): number => runFrom(pass) + pass.run_ms;

const byTime = (a: PassRun, b: PassRun) => runFrom(a) - runFrom(b) || a.depth - b.depth;

/** All passes in order of time, and the lanes: workers as the request came to them, each with its depths in order. */
export function lanesOf({ passes_run }: Pick<RequestDetail, 'passes_run'>): {
  readonly passes: readonly PassRun[];
  readonly lanes: readonly Lane[];
} {
  const passes = passes_run.toSorted(byTime);
  const workers = [...new Set(passes.map(({ worker }) => worker))];
  const lanes = workers.flatMap((worker) => {
    const here = passes.filter((pass) => pass.worker === worker);
    const depths = [...new Set(here.map(({ depth }) => depth))].sort((a, b) => a - b);
    return depths.map((depth) => ({ worker, depth, passes: here.filter((pass) => pass.depth === depth) }));
  });
  return { passes, lanes };
}

/** The token whose passes took longest from first to last, and the pass of it that cost most. */
export function slowestToken(
  passes: readonly PassRun[],
): { readonly token: number; readonly ms: number; readonly pass: PassRun } | undefined {
  const ofToken = new Map<number, PassRun[]>();
  for (const pass of passes) {
    if (pass.token === null) continue;
    const others = ofToken.get(pass.token);
    if (others) others.push(pass);
    else ofToken.set(pass.token, [pass]);
  }
  const cost = (pass: PassRun) => pass.wait_ms + pass.run_ms + (pass.hop_ms ?? 0);
  let slowest: ReturnType<typeof slowestToken>;
  for (const [token, own] of ofToken) {
    const from = Math.min(...own.map(({ start_ms }) => start_ms));
    const ms = Math.max(...own.map((pass) => endOf(pass) + (pass.hop_ms ?? 0))) - from;
    if (slowest !== undefined && slowest.ms >= ms) continue;
    slowest = { token, ms, pass: own.reduce((most, pass) => (cost(pass) > cost(most) ? pass : most)) };
  }
  return slowest;
}

/** Where the passes' time went, in milliseconds. Passes of a prompt may overlap, so these are no shares of the whole. */
export const timesOf = (passes: readonly PassRun[]) => ({
  waited: sum(passes.map(({ wait_ms }) => wait_ms)),
  ran: sum(passes.map(({ run_ms }) => run_ms)),
  hopped: sum(passes.map(({ hop_ms }) => hop_ms ?? 0)),
});

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Names a pass in every copy of its request. */
export const passKey = ({ token, position, depth, worker, step }: PassRun): string =>
  [token, position, depth, worker, step].join(' ');

/** The pass that a key leads to from `chosen`; undefined when the key means nothing here. */
export function passAfterKey(
  key: string,
  chosen: PassRun,
  { passes, lanes }: ReturnType<typeof lanesOf>,
): PassRun | undefined {
  const place = passes.indexOf(chosen);
  const lane = lanes.findIndex((each) => each.passes.includes(chosen));
  switch (key) {
    case 'ArrowRight':
      return passes[Math.min(place + 1, passes.length - 1)];
    case 'ArrowLeft':
      return passes[Math.max(place - 1, 0)];
    case 'Home':
      return passes[0];
    case 'End':
      return passes.at(-1);
    case 'ArrowDown':
      return nearest(lanes[Math.min(lane + 1, lanes.length - 1)]!, chosen);
    case 'ArrowUp':
      return nearest(lanes[Math.max(lane - 1, 0)]!, chosen);
    default:
      return undefined;
  }
}

const nearest = ({ passes }: Lane, { start_ms }: PassRun): PassRun =>
  passes.reduce((best, pass) =>
    Math.abs(pass.start_ms - start_ms) < Math.abs(best.start_ms - start_ms) ? pass : best,
  );

/** A pass in a sentence. */
export function tellPass(pass: PassRun): string {
  const what =
    pass.token === null ? `${pass.rows} prompt rows from position ${pass.position}` : `token ${pass.token}`;
  const others = pass.step_rows - pass.rows;
  const depths = [...pass.step_depths].sort((a, b) => a - b).join(', ');
  const beside =
    others === 0 ? 'alone' : `beside ${others} other ${others === 1 ? 'row' : 'rows'}, depths ${depths}`;
  return [
    `${what}, depth ${pass.depth} on ${pass.worker}: waited ${ms(pass.wait_ms)}, ran ${ms(pass.run_ms)} in step ${pass.step} ${beside}`,
    pass.hop_ms === null ? '' : `hop ${ms(pass.hop_ms)}`,
    pass.signal === null ? '' : `exit signal ${pass.signal.toFixed(3)}`,
    pass.exited ? 'left the loop here' : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
}
