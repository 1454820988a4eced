import type { Bundle, Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { depthScores, type Pair } from './depth-scores.ts';
import { greedyWindows } from './greedy-text.ts';
import type { Scores } from './metrics.ts';
import { type Protocol, prepareProtocol } from './protocol.ts';
import { Sequences } from './sequences.ts';
import type { EvalSuite } from './suite.ts';
import type { WindowScore } from './window-scores.ts';
import type { Window } from './windows.ts';

/** How a model is run: rows leave after so many passes. */
export interface FixedDepth {
  readonly kind: 'depth';
  readonly passes: number;
}

export type ExitChoice = FixedDepth;

/** One model run in one way. */
export interface Cell {
  readonly exit: ExitChoice;
  readonly scores: Scores;
}

export interface Variant {
  readonly name: string;
  readonly directory: string;
  readonly digest: string;
  /** Of all files of the bundle. */
  readonly bytes: number;
  readonly precision: Manifest['precision'];
  readonly maxDepth: number;
  /** Of its adapters; 0 without. */
  readonly rank: number;
  /** All passes come last among the fixed depths. */
  readonly cells: readonly Cell[];
}

export interface Evaluation {
  readonly protocol: Protocol;
  readonly a: Variant;
  readonly bs: readonly Variant[];
}

export interface EvaluationOptions {
  readonly a: Bundle;
  readonly bs: readonly Bundle[];
  readonly suite: EvalSuite;
  readonly threads: number;
  readonly onProgress?: (done: number, total: number, title: string) => void;
  /** Aborted when the user stops the run, which then throws its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Runs the protocol of `suite` with A, and with each B beside A.
 * @throws RondoError CONFIG_INVALID for bundles whose tokenizers cut the suite's texts differently, or whose context is
 * shorter than the suite's windows.
 */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { a, bs, suite, threads, signal } = options;
  const protocol = await prepareProtocol(suite, a);
  for (const b of bs) refuseOther(protocol, await prepareProtocol(suite, b), b);
  const greedyCount = Math.min(suite.settings.greedy.max, protocol.windows.length);
  const total = (1 + bs.length) * (protocol.windows.length + greedyCount);
  let done = 0;
  const stepped = (title: string) => {
    signal?.throwIfAborted();
    options.onProgress?.(++done, total, title);
  };
  const open = (bundle: Bundle) =>
    Sequences.open(bundle, {
      threads,
      sequences: Math.max(2, greedyCount),
      positions: protocol.positions,
    });
  const modelA = await open(a);
  try {
    const greedy = await greedyWindows(modelA, protocol.windows, suite.settings.greedy);
    const units = { ...protocol, greedy };
    const measured = async (b: Sequences, role: string) =>
      variantOf(b.bundle, await cellsOf({ a: modelA, b }, units, () => stepped(role)));
    const ofA = await measured(modelA, `A ${a.manifest.name}`);
    const ofBs: Variant[] = [];
    for (const b of bs) {
      const modelB = await open(b);
      try {
        ofBs.push(await measured(modelB, `B ${b.manifest.name}`));
      } finally {
        await modelB.close();
      }
    }
    return { protocol, a: ofA, bs: ofBs };
  } finally {
    await modelA.close();
  }
}

interface Units {
  readonly windows: readonly Window[];
  readonly greedy: readonly Window[];
}

async function cellsOf(pair: Pair, units: Units, stepped: () => void): Promise<Cell[]> {
  const { maxDepth } = pair.b.bundle.manifest;
  const exits = Array.from({ length: maxDepth }, (_, pass) => pass + 1);
  const scored = async (windows: readonly Window[]): Promise<WindowScore[][]> => {
    const byWindow: WindowScore[][] = [];
    for (const window of windows) {
      byWindow.push(await depthScores(pair, window, exits));
      stepped();
    }
    return byWindow;
  };
  const windows = await scored(units.windows);
  const greedy = await scored(units.greedy);
  return exits.map((passes, at) => ({
    exit: { kind: 'depth', passes },
    scores: {
      windows: windows.map((scores) => scores[at]!),
      greedy: greedy.map((scores) => scores[at]!),
      questions: [],
    },
  }));
}

function variantOf({ manifest, directory, digest }: Bundle, cells: Cell[]): Variant {
  return {
    name: manifest.name,
    directory,
    digest,
    bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
    precision: manifest.precision,
    maxDepth: manifest.maxDepth,
    rank: manifest.adapters?.rank ?? 0,
    cells,
  };
}

function refuseOther(ofA: Protocol, ofB: Protocol, b: Bundle): void {
  if (ofA.tokens === ofB.tokens) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `${b.directory}: its tokenizer cuts the suite's texts differently from A's: next tokens and perplexities of the two cannot be compared`,
  );
}
