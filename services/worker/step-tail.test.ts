import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Phase } from './chunk.ts';
import type { StepPolicy } from './step-policy.ts';
import { type Draw, type SimulatedLoad, type SimulatedTail, simulate } from './test-load.ts';

const LIMITS = { rowsMax: 256, prefillRows: 64, backgroundRows: 8, backgroundWaitRuns: 8 };

/** mulberry32 (Tommy Ettinger, 2017, public domain). */
const draws = (stream: number) => {
  let seed = Math.imul(stream + 1, 0x9e3779b1);
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
};

/** Milliseconds of SmolLM2 with 28 of 30 layers looped, int4, one thread: what rows cost decides. */
const onProcessor = (phase: Phase, rows: number): number =>
  phase === 'block' ? 4.5 + 2.27 * rows : phase === 'prelude' ? 0.5 + 0.08 * rows : 2.6 + 0.4 * rows;
/** The same on a processor that multiplies faster, with what lies between runs: a run costs as much as five rows. */
const onFastProcessor = (phase: Phase, rows: number): number =>
  phase === 'block' ? 6 + 1.33 * rows : phase === 'prelude' ? 1.6 + 0.05 * rows : 3 + 0.32 * rows;
/** An AMD EPYC, where it costs as much as three. */
const onEpyc = (phase: Phase, rows: number): number =>
  phase === 'block' ? 4.3 + 1.45 * rows : phase === 'prelude' ? 0.8 + 0.05 * rows : 1.8 + 0.3 * rows;
/** Where a run costs nearly the same whatever is in it. */
const onAccelerator = (phase: Phase, rows: number): number =>
  phase === 'block' ? 40 + 0.3 * rows : phase === 'prelude' ? 1.4 + 0.01 * rows : 3.5 + 0.06 * rows;

/** The timed engine of `rondo bench staged`: a run of 16 rows costs as much besides its rows as for them. */
const onTimedEngine = (phase: Phase, rows: number): number => (phase === 'block' ? 4 + 0.25 * rows : 0);

const SHORT = { prompt: { least: 1, most: 4 }, answer: { least: 24, most: 96 } };
/** Of such a request, on average. */
const [PROMPT_ROWS, TOKENS] = [2.16, 52];

const run = (
  policy: StepPolicy,
  arrivals: SimulatedLoad['arrivals'],
  leaving: number,
  takesMs = onProcessor,
  maxDepth = 2,
): SimulatedTail => {
  const passes = (draw: Draw) => (draw() < leaving ? 1 : maxDepth);
  const load = { ...SHORT, policy, arrivals, passes, takesMs, maxDepth };
  return simulate({ ...load, limits: LIMITS, forMs: 240_000, draws });
};
const full = (policy: StepPolicy, leaving: number, takesMs = onProcessor): number =>
  run(policy, { clients: 64 }, leaving, takesMs).tokensPerS;
const p50 = ({ gapsMs }: SimulatedTail): number => gapsMs[Math.floor(0.5 * gapsMs.length)]!;
const p99 = ({ gapsMs }: SimulatedTail): number => gapsMs[Math.floor(0.99 * gapsMs.length)]!;

for (const leaving of [0, 0.5, 0.75, 0.9]) {
  test(`where rows cost more than runs, the tail between tokens by depth is no longer than by sequence: ${100 * leaving} % leave`, () => {
    const capacity = full('depth', leaving) / TOKENS;
    for (const share of [0.6, 0.75, 0.85, 0.95]) {
      const tail = (policy: StepPolicy) => p99(run(policy, { ratePerS: share * capacity }, leaving));
      const [depth, sequence] = [tail('depth'), tail('sequence')];
      assert.ok(depth <= 1.02 * sequence, `${depth} and ${sequence} ms at ${share} of capacity`);
    }
  });
}

test('where a run costs as much as five rows, few sequences have a shorter gap by depth and the same tail', () => {
  const capacity = full('sequence', 0, onFastProcessor) / TOKENS;
  for (const share of [0.4, 0.5, 0.6, 0.75, 0.9]) {
    const [depth, sequence] = (['depth', 'sequence'] as const).map((policy) =>
      run(policy, { ratePerS: share * capacity }, 0.75, onFastProcessor),
    ) as [SimulatedTail, SimulatedTail];
    const ratios = `p50 ${p50(depth) / p50(sequence)}, p99 ${p99(depth) / p99(sequence)} at ${share}`;
    assert.ok(p99(depth) <= 1.03 * p99(sequence), ratios);
    if (share === 0.4) assert.ok(p50(depth) <= 0.98 * p50(sequence), ratios);
  }
});

test('where it costs as much as three rows, a house of a few sequences has the tail of sequence too', () => {
  const capacity = full('sequence', 0, onEpyc) / TOKENS;
  for (const share of [0.08, 0.15, 0.25, 0.4]) {
    const [depth, sequence] = (['depth', 'sequence'] as const).map((policy) =>
      p99(run(policy, { ratePerS: share * capacity }, 0.75, onEpyc)),
    ) as [number, number];
    assert.ok(depth <= 1.02 * sequence, `${depth} and ${sequence} ms at ${share}`);
  }
});

test('exits win 96 % and more by depth of what they can at saturation, 97 % all depths together, and nothing is lost without them', () => {
  for (const takesMs of [onProcessor, onEpyc, onAccelerator]) {
    const without = full('depth', 0, takesMs);
    assert.ok(without >= 0.98 * full('sequence', 0, takesMs));
    const per = (phase: Phase) => takesMs(phase, 64) / 64;
    const tokenMs = (passes: number) => per('prelude') + per('coda') + passes * per('block');
    for (const leaving of [0.5, 0.75, 0.9]) {
      // A prompt's rows run every pass.
      const prompt = 2 * (PROMPT_ROWS / TOKENS);
      const most = tokenMs(2 + prompt) / tokenMs(2 - leaving + prompt);
      for (const [policy, share] of [
        ['depth', 0.96],
        ['together', 0.97],
      ] as const) {
        const won = full(policy, leaving, takesMs) / without / most;
        assert.ok(won >= share, `${policy}, ${leaving}: ${won}`);
      }
    }
  }
});

test('the worker learns what its runs cost from the runs themselves', () => {
  const { costs } = run('depth', { ratePerS: 3 }, 0.75);
  assert.ok(
    Math.abs(costs!.fixedMs - 4.5) < 0.05 && Math.abs(costs!.rowMs - 2.27) < 0.01,
    JSON.stringify(costs),
  );
});

test('where every token runs every pass, eight passes at saturation cost nothing', () => {
  const rate = (policy: StepPolicy, exits?: (draw: Draw) => number) => {
    const passes = exits ?? (() => 8);
    const load = { policy, passes, takesMs: onTimedEngine, maxDepth: 8, arrivals: { clients: 16 } };
    const lengths = { prompt: { least: 16, most: 16 }, answer: { least: 32, most: 32 } };
    return simulate({ ...load, ...lengths, limits: LIMITS, forMs: 60_000, draws }).tokensPerS;
  };
  assert.ok(rate('depth') >= rate('sequence'));
  const mixed = (draw: Draw) => [8, 2, 6, 4, 5][Math.floor(5 * draw())]!;
  assert.ok(rate('depth', mixed) >= 1.1 * rate('sequence', mixed), 'and rows that leave make room');
});
