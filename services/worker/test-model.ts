import type { Bundle, Manifest } from '@rondo/bundle';
import { decideExit, type GenerateSpec, survive } from '@rondo/core';
import { type HeadRow, logprobOf, type Stack, sample } from '@rondo/engine';

/** A model of a few lines of arithmetic in which K and V matter: every past position, at every depth, in its order. */
export const HIDDEN = 4;
export const VOCAB = 32;
export const CANDIDATES = 8;

type Vector = readonly number[];

export interface TestShape {
  readonly prelude: number;
  readonly coda: number;
  readonly maxDepth: number;
  readonly kvPolicy?: Manifest['kvPolicy'];
}

export const embed = (id: number): Vector =>
  Array.from({ length: HIDDEN }, (_, index) => Math.fround(Math.sin((id + 1) * (index + 1.7))));

/** What a row leaves for later positions to read. */
export const keyOf = (state: Vector): Vector => state.map((value) => Math.fround(Math.tanh(1.3 * value)));

/** One row through a stack. `past` are the keys of positions 0…position−1 at this depth. */
export function passRow(stack: Stack, depth: number, state: Vector, past: readonly Vector[]): Vector {
  const salt = { prelude: 0.3, block: 0.7, coda: 1.1 }[stack] + 0.17 * depth;
  return state.map((value, index) => {
    let attended = 0;
    past.forEach((key, position) => {
      attended += key[index]! * Math.cos(position + index);
    });
    return Math.fround(
      Math.tanh(1.1 * value + (2 * attended) / (past.length + 1) + salt * Math.cos(index + depth)),
    );
  });
}

export const gateOf = (state: Vector): number => Math.fround(0.5 + 0.45 * Math.sin(3 * state[0]!));

export function latentDiffOf(before: Vector, after: Vector): number {
  const norm = (vector: Vector) => Math.hypot(...vector);
  return Math.fround(norm(after.map((value, index) => value - before[index]!)) / norm(after));
}

/** The head on one row: a few candidates, and all logits if wanted. */
export function headOf(state: Vector, wantLogits: boolean): HeadRow {
  const logits = Float32Array.from({ length: VOCAB }, (_, id) =>
    state.reduce((sum, value, index) => sum + 4 * value * Math.cos(id * (index + 1) * 0.37), 0),
  );
  const ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, CANDIDATES);
  return {
    topIds: Int32Array.from(ids),
    topLogits: Float32Array.from(ids, (id) => logits[id]!),
    logSumExp: Math.fround(Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0))),
    ...(wantLogits && { logits }),
  };
}

export interface Expected {
  readonly ids: number[];
  readonly logprobs: number[];
  readonly passes: number[];
  readonly promptLogprobs: number[];
  readonly reason: 'stop' | 'length';
}

/** The sequence by itself, one row after the other, with plain arrays for K and V: what any worker must produce. */
export function generateAlone(shape: TestShape, spec: GenerateSpec): Expected {
  const keys = new Map<string, Vector[]>();
  const run = (stack: Stack, depth: number, state: Vector): Vector => {
    const name = `${stack} ${depth}`;
    const past = keys.get(name) ?? [];
    keys.set(name, past);
    const after = passRow(stack, depth, state, past);
    past.push(keyOf(state));
    return after;
  };
  let generated = 0;
  /** The head asked before it is known whether the row leaves: nothing it sees stays. */
  const confidenceOf = (state: Vector): number => {
    const past = keys.get('coda 0') ?? [];
    const { topLogits, logSumExp } = headOf(shape.coda > 0 ? passRow('coda', 0, state, past) : state, false);
    return Math.exp(topLogits[0]! - logSumExp);
  };
  const row = (id: number, decoding: boolean): { state: Vector; passes: number } => {
    let state = embed(id);
    if (shape.prelude > 0) state = run('prelude', 0, state);
    let [passes, survival] = [0, 1];
    while (passes < shape.maxDepth) {
      const before = state;
      state = run('block', passes++, state);
      survival = survive(survival, gateOf(state));
      if (!decoding) continue;
      const signal = { survival, latentDiff: latentDiffOf(before, state), row: generated };
      const decision = decideExit(spec.exit, passes, signal);
      const confidence = decision === 'ask-head' ? confidenceOf(state) : undefined;
      if (
        decision === 'exit' ||
        (confidence && decideExit(spec.exit, passes, { ...signal, confidence }) === 'exit')
      )
        break;
    }
    if (decoding) generated++;
    let catchingUp = state;
    for (let deeper = passes; deeper < shape.maxDepth; deeper++) {
      if (shape.kvPolicy === 'catch-up') catchingUp = run('block', deeper, catchingUp);
      else if (shape.kvPolicy === 'propagate') keys.get(`block ${deeper}`)!.push(keyOf(state));
      else keys.get(`block ${deeper}`)!.push(keys.get(`block ${passes - 1}`)!.at(-1)!);
    }
    if (shape.coda > 0) state = run('coda', 0, state);
    return { state, passes };
  };

  const expected = {
    ids: [] as number[],
    logprobs: [] as number[],
    passes: [] as number[],
    promptLogprobs: [] as number[],
  };
  let last = { state: [] as Vector, passes: 0 };
  spec.promptIds.forEach((id, position) => {
    last = row(id, false);
    const next = spec.promptIds[position + 1];
    if (spec.promptLogprobs && next !== undefined)
      expected.promptLogprobs.push(logprobOf(headOf(last.state, true), next)!);
  });
  for (let index = 0; index < spec.maxTokens; index++) {
    const history = { prompt: spec.promptIds, output: expected.ids };
    const chosen = sample(headOf(last.state, true), spec.sampling, history, index);
    if (chosen === 'needs-logits') throw new Error('all logits were given');
    expected.passes.push(last.passes);
    expected.ids.push(chosen.id);
    expected.logprobs.push(chosen.logprob);
    if (spec.stopIds.includes(chosen.id)) return { ...expected, reason: 'stop' };
    if (index + 1 < spec.maxTokens) last = row(chosen.id, true);
  }
  return { ...expected, reason: 'length' };
}

/** A bundle without files: only its shapes are read where the engine is a test engine. */
export function testBundle(shape: TestShape, digest = 'd'.repeat(64)): Bundle {
  const manifest: Manifest = {
    schemaVersion: 2,
    name: 'test-model',
    source: { checkpoint: 'none', architecture: 'test', licence: 'none' },
    shape: { hidden: HIDDEN, heads: 1, kvHeads: 1, headDim: HIDDEN, vocab: VOCAB, context: 512 },
    layers: { prelude: shape.prelude, block: 1, coda: shape.coda },
    maxDepth: shape.maxDepth,
    loop: { first: 0, last: 0, damping: 1 },
    exit: { policy: 'none', threshold: 0, minDepth: 1, signals: ['gate', 'latent-diff'] },
    kvPolicy: shape.kvPolicy ?? 'last-exited',
    precision: 'f32',
    pagePositions: 16,
    headCandidates: CANDIDATES,
    tokens: { eos: [] },
    graphs: { prelude: 'p', block: 'b', head: 'h', propagate: 'r', ...(shape.coda > 0 && { coda: 'c' }) },
    segments: { prelude: [], block: [], coda: [] },
    rope: { inverseFrequencies: [1, 0.1], attentionFactor: 1 },
    files: [],
  };
  return { directory: '/nowhere', manifest, digest };
}
