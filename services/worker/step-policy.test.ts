import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Phase } from './chunk.ts';
import {
  backgroundWaitedBehind,
  decide,
  leavingShareOf,
  type ReadyChunk,
  STEP_POLICIES,
  type StepPolicy,
} from './step-policy.ts';
import { next, prompt, row, STEP_LIMITS } from './test-step-view.ts';

const owed = (rows: number, passes: number): ReadyChunk => ({
  phase: 'block',
  passes,
  passesHere: passes,
  rows,
  decodes: false,
  leaves: false,
  deferred: true,
  background: false,
});

test('nothing ready, nothing to run', () => {
  assert.equal(next([]), undefined);
});

test('rows of every depth and rows of prompts share one run', () => {
  const ready = [row('block', 0), prompt('block', 40), row('block', 2), row('block', 1)];
  assert.deepEqual(new Set(next(ready)!.chunks), new Set(ready));
});

test('decoding rows come first, the deepest foremost, and prompt rows fill the rest within their budget', () => {
  const ready = [prompt('block', 64, 2), row('block', 0), row('block', 1), prompt('block', 20)];
  assert.deepEqual(next(ready)!.chunks, [ready[2], ready[1], ready[0]]);
  assert.equal(
    next(ready, 'depth', false)!.chunks.length,
    4,
    'nobody decodes: prompts have the run to themselves',
  );
});

test('a prompt longer than its budget still advances by one chunk', () => {
  const ready = [row('block'), prompt('block', 100)];
  assert.equal(next(ready)!.chunks.length, 2);
});

test('rows leave when half as many wait for the way out as decode on, or nothing else can run', () => {
  const inLoop = [row('block', 1), row('block', 0), row('block', 1)];
  assert.equal(next([row('coda', 1), ...inLoop])!.phase, 'block');
  assert.equal(next([row('coda', 1), ...inLoop.slice(1)])!.phase, 'coda');
  assert.equal(
    next([row('coda', 1), prompt('block', 64), prompt('block', 9), prompt('block', 5)])!.phase,
    'coda',
  );
  assert.equal(next([row('coda', 1)])!.phase, 'coda');
});

test('where other workers wait for them rows leave as soon as that keeps the others here for less than they would wait', () => {
  const staged = (leavingMs: number) => ({ leavingShare: leavingShareOf(false, { stepMs: 8, leavingMs }) });
  const ready = [row('coda', 2), ...Array.from({ length: 7 }, () => row('block', 1))];
  assert.equal(next(ready, 'depth', true, 64, 0, staged(1))!.phase, 'coda');
  assert.equal(next(ready, 'depth', true, 64, 0, staged(2))!.phase, 'block');
  const homed = { leavingShare: leavingShareOf(true, { stepMs: 8, leavingMs: 1 }) };
  assert.equal(next(ready, 'depth', true, 64, 0, homed)!.phase, 'block');
  assert.equal(
    leavingShareOf(false, { stepMs: 0, leavingMs: 0 }),
    leavingShareOf(true, { stepMs: 8, leavingMs: 1 }),
  );
});

test('after the coda the head, then the prelude: both make the next run of the block fuller', () => {
  const ready = [row('block', 1), row('prelude'), row('head', 2)];
  assert.equal(next(ready)!.phase, 'head');
  assert.equal(next(ready.slice(0, 2))!.phase, 'prelude');
});

test('a prompt waits for tokens that are about to leave, and goes through the prelude with those that follow them', () => {
  const arrives = prompt('prelude', 9);
  assert.equal(next([row('coda', 1), arrives, row('block', 1)])!.phase, 'coda');
  assert.deepEqual(next([row('prelude'), arrives, row('block', 1)])!.chunks.length, 2);
  const loop = [row('block', 1), row('block', 1), row('block', 1)];
  assert.equal(next([row('coda', 1), arrives, ...loop])!.phase, 'prelude', 'nobody leaves yet');
});

test('without coda layers the head is the way out', () => {
  const ready = [row('head', 1), row('block', 1), row('block', 1), row('block', 0)];
  const view = {
    ready,
    exitPhase: 'head',
    decoding: true,
    hurried: true,
    decodingShare: 64,
    leavingShare: 0.5,
    backgroundWaited: 0,
    costs: undefined,
    expectedPasses: undefined,
  } as const;
  assert.equal(decide(view, STEP_LIMITS, 'depth')!.phase, 'block');
});

test('the head runs with the coda, and with the block when all that decodes leaves it together', () => {
  const leaving = (passes: number): ReadyChunk => ({ ...row('block', passes), leaves: true });
  const withHead = (ready: ReadyChunk[], policy?: StepPolicy) => next(ready, policy)!.withHead;
  assert.equal(withHead([{ ...row('coda', 2), leaves: true }]), true);
  assert.equal(withHead([leaving(1), leaving(0), prompt('block', 40)]), true);
  assert.equal(withHead([leaving(1), row('block', 0)]), false, 'one decodes on');
  assert.equal(withHead([leaving(1), leaving(0)], 'sequence'), false, 'one is not in the run');
  assert.equal(
    withHead([...Array.from({ length: 8 }, () => leaving(1)), row('head', 2)]),
    false,
    'one waits',
  );
  assert.equal(withHead([row('prelude')]), false);
});

test('of sequences with stages elsewhere a run takes a share, those first that have been here longest', () => {
  const ready = [row('block', 4, 0), row('block', 1, 1), row('block', 6, 0), row('block', 0)];
  const staged = next([...ready, prompt('block', 30)], 'depth', true, 2)!;
  assert.deepEqual(staged.chunks, [ready[1], ready[0], prompt('block', 30)]);
  assert.equal(next(ready, 'depth', true, 4)!.chunks.length, 4);
});

test('rows leave when half of what the next run takes waits for the way out', () => {
  const inLoop = Array.from({ length: 8 }, () => row('block', 1));
  const leaving = [row('coda', 2), row('coda', 2)];
  assert.equal(next([...leaving, ...inLoop], 'depth', true, 4)!.phase, 'coda');
  assert.equal(next([...leaving, ...inLoop], 'depth', true, 8)!.phase, 'block');
});

test('owed rows run when nothing else can', () => {
  const ready = [owed(7, 1), row('prelude')];
  assert.equal(next(ready)!.phase, 'prelude');
  assert.deepEqual(next([owed(7, 1)])!.chunks, [owed(7, 1)]);
});

test('by sequence, who is inside the loop finishes it before anyone begins', () => {
  const ready = [row('block', 0), row('prelude'), row('block', 1), row('coda', 2)];
  const order: [Phase, number][] = [];
  while (ready.length > 0) {
    const { phase, chunks } = next(ready, 'sequence')!;
    order.push([phase, chunks[0]!.passes]);
    for (const taken of chunks) ready.splice(ready.indexOf(taken), 1);
  }
  assert.deepEqual(order, [
    ['block', 1],
    ['coda', 2],
    ['prelude', 0],
    ['block', 0],
  ]);
});

const readyChunk = fc.record({
  phase: fc.constantFrom<Phase>('prelude', 'block', 'coda', 'head'),
  passes: fc.nat(3),
  passesHere: fc.nat(3),
  rows: fc.constantFrom(1, 2, 17, 64),
  decodes: fc.boolean(),
  leaves: fc.boolean(),
  deferred: fc.boolean(),
  background: fc.boolean(),
});

test('a run is of one phase, within its rows, and never empty while something is ready that somebody waits for', () => {
  fc.assert(
    fc.property(
      fc.array(readyChunk, { maxLength: 60 }),
      fc.constantFrom(...STEP_POLICIES),
      fc.boolean(),
      fc.integer({ min: 0, max: 10 }),
      fc.option(fc.record({ fixedMs: fc.nat(40), rowMs: fc.nat(4) }), { nil: undefined }),
      fc.option(fc.constantFrom([1.5, 3, 4, 4], [4, 4, 4, 4]), { nil: undefined }),
      (ready, policy, decoding, waited, costs, expectedPasses) => {
        const decision = next(ready, policy, decoding, 64, waited, { costs, expectedPasses });
        assert.equal(decision === undefined, ready.length === 0);
        if (!decision) return;
        const { phase, chunks } = decision;
        assert.ok(chunks.length > 0);
        if (ready.some((chunk) => !chunk.deferred)) {
          assert.ok(chunks.every((chunk) => chunk.phase === phase && !chunk.deferred));
        }
        const rows = chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
        assert.ok(rows <= STEP_LIMITS.rowsMax);
        const promptRows = chunks
          .filter((chunk) => !chunk.decodes)
          .reduce((sum, chunk) => sum + chunk.rows, 0);
        if (decoding) assert.ok(promptRows <= STEP_LIMITS.prefillRows);
        const behind = chunks.filter((chunk) => chunk.background && !chunk.deferred);
        const behindRows = behind.reduce((sum, chunk) => sum + chunk.rows, 0);
        assert.ok(behind.length <= 1 || behindRows <= STEP_LIMITS.backgroundRows);
      },
    ),
  );
});

test('beside others, background rows take part with as many as their budget, whoever waited longest first', () => {
  const behind = (chunk: ReadyChunk): ReadyChunk => ({ ...chunk, background: true });
  const lines = Array.from({ length: 60 }, (_, index) => behind(row('block', index % 2)));
  const one = row('block');
  const { chunks } = next([...lines, one])!;
  assert.deepEqual(new Set(chunks), new Set([...lines.slice(0, 8), one]));
  const alone = decide(
    {
      ready: lines,
      exitPhase: 'coda',
      decoding: true,
      hurried: false,
      decodingShare: 64,
      leavingShare: 0.5,
      backgroundWaited: 0,
      costs: undefined,
      expectedPasses: undefined,
    },
    STEP_LIMITS,
    'depth',
  )!;
  assert.equal(alone.chunks.length, 60, 'by themselves they fill the run');
  // A line's prompt is cut into longer chunks than the budget.
  const long = behind(prompt('block', 16));
  assert.deepEqual(new Set(next([long, ...lines, one])!.chunks), new Set([long, one]));
  assert.deepEqual(next([...lines, long, one])!.chunks.includes(long), false);
});

test('while a prompt of others is here, background rows wait in every phase', () => {
  const behind = (chunk: ReadyChunk): ReadyChunk => ({ ...chunk, background: true });
  const [asked, one] = [prompt('block', 40), row('block')];
  const lines = [behind(row('block')), behind(prompt('prelude', 16)), behind(row('head'))];
  assert.deepEqual(new Set(next([...lines, asked, one])!.chunks), new Set([asked, one]));
  assert.deepEqual(new Set(next([...lines, one])!.chunks), new Set([lines[0], one]), 'without it they ride');
});

test('a prompt of the background takes no room in the budget from another', () => {
  const line = { ...prompt('block', 8, 1), background: true };
  const one = prompt('block', 64);
  assert.deepEqual(next([line, one, row('block')])!.chunks.includes(one), true);
});

test('others choose the phase, and of the background rides along who waits there', () => {
  const behind = (chunk: ReadyChunk): ReadyChunk => ({ ...chunk, background: true });
  const lines = Array.from({ length: 60 }, () => behind(row('block')));
  const [leaving, lineLeaving] = [row('coda', 2), behind(row('coda', 2))];
  const chosen = next([...lines, leaving, lineLeaving])!;
  assert.equal(chosen.phase, 'coda');
  assert.deepEqual(new Set(chosen.chunks), new Set([leaving, lineLeaving]));
  const one = row('block');
  const { chunks } = next([...Array.from({ length: 9 }, () => lineLeaving), ...lines, one])!;
  assert.deepEqual(
    new Set(chunks),
    new Set([...lines.slice(0, 8), one]),
    'those of other phases take no place',
  );
});

test('the head goes with the block when all that decode leave together, whatever the background does', () => {
  const line = { ...row('head', 2), background: true };
  assert.equal(next([line, { ...row('block', 1), leaves: true }])!.withHead, true);
  assert.equal(next([line, row('block', 1)])!.withHead, false);
});

test('beside others that never come where it waits, the background has its share of runs', () => {
  const line = { ...row('prelude'), background: true };
  let waited = 0;
  const phases: Phase[] = [];
  for (let run = 0; run < 10; run++) {
    const ready = [row('block'), line];
    const decision = next(ready, 'depth', true, 64, waited)!;
    phases.push(decision.phase);
    waited = backgroundWaitedBehind(ready, decision, waited);
  }
  assert.equal(phases.indexOf('prelude'), 8);
  assert.equal(phases.lastIndexOf('prelude'), 8);
});

test('beside prompts that come without end, the background has its share of runs', () => {
  const line = { ...row('block', 1), background: true };
  const linePrompt = { ...prompt('block', 16), background: true };
  const endless = [prompt('block', 64), row('block', 1)];
  for (const behind of [line, linePrompt]) {
    let waited = 0;
    const had: boolean[] = [];
    for (let run = 0; run < 18; run++) {
      const ready = [...endless, behind];
      const decision = next(ready, 'depth', true, 1, waited)!;
      had.push(decision.chunks.includes(behind));
      waited = backgroundWaitedBehind(ready, decision, waited);
    }
    assert.deepEqual(
      had.flatMap((took, run) => (took ? [run] : [])),
      [8, 17],
    );
  }
});

test('prompts of others that change their phase take nothing from the share of the background', () => {
  const line = { ...row('block', 1), background: true };
  let waited = 0;
  const had: number[] = [];
  for (let run = 0; run < 27; run++) {
    const phase = run % 3 === 0 ? 'prelude' : 'block';
    const ready = [prompt(phase, 64), line];
    const decision = next(ready, 'depth', true, 1, waited)!;
    if (decision.chunks.includes(line)) had.push(run);
    waited = backgroundWaitedBehind(ready, decision, waited);
  }
  assert.deepEqual(had, [8, 17, 26]);
  const alone = [row('block')];
  assert.equal(backgroundWaitedBehind(alone, next(alone)!, 8), 0, 'who has left is not waited for');
});

test('a prompt chunk that has found no room is passed by no shorter one', () => {
  const long = prompt('block', 64);
  let inside: ReadyChunk[] = [];
  let runs = 0;
  for (let taken = false; !taken; runs++) {
    const short = prompt('block', 20);
    const { chunks } = next([...inside, long, short, row('block')])!;
    taken = chunks.includes(long);
    inside = chunks.includes(short) ? [prompt('block', 20, 1)] : [];
    assert.ok(runs < 4, 'it waits for ever');
  }
});

test('however many decode, a chunk of a prompt finds room', () => {
  const decoding = Array.from({ length: 256 }, () => row('block', 1));
  const long = prompt('block', 64);
  const { chunks } = next([...decoding, long], 'depth', true, Number.POSITIVE_INFINITY)!;
  assert.ok(chunks.includes(long));
  assert.equal(chunks.length, 192 + 1);
  assert.equal(next(decoding, 'depth', true, Number.POSITIVE_INFINITY)!.chunks.length, 256);
});
