import { LIMITS } from '@rondo/core';
import { atLeast, atMost, type Goal, type Plot, type Row } from './suite.ts';

/** One measurement over workers with equal stages; NaN is what was not measured. */
export interface StagedSample {
  readonly what: 'first token' | 'prompts' | 'decoding' | 'decoding, exits' | 'hop';
  readonly placement: 'homed' | 'staged';
  readonly workers: number;
  readonly promptTokens: number;
  /** Median time to first token; of a hop, the time of one. */
  readonly ms: number;
  readonly tokensPerS: number;
  /** Share of the engines' time in which nothing ran: their mean, and that of the most idle one. */
  readonly idle: number;
  readonly idleMost: number;
  /** States in one frame between two workers, on average. */
  readonly frameKiB: number;
  /** Share of the machine's processors that was used, by whomever. */
  readonly cpu: number;
}

export const UNMEASURED = {
  ms: Number.NaN,
  tokensPerS: Number.NaN,
  idle: Number.NaN,
  idleMost: Number.NaN,
  frameKiB: Number.NaN,
  cpu: Number.NaN,
};

export interface StagedRow extends Row {
  readonly what: string;
  readonly placement: string;
  readonly stages: number;
  readonly 'prompt tokens': number;
  readonly 'of ideal %': number | string;
  readonly 'idle %': number | string;
}

/** How much sooner C chunks leave n equal stages than one worker, when nothing but the passes takes time. */
export function idealSpeedUp(promptTokens: number, stages: number): number {
  const chunks = Math.ceil(promptTokens / LIMITS.prefillChunkRows);
  return (stages * chunks) / (chunks + stages - 1);
}

/** Ideal: for a first token the pipeline's speed-up over one worker, for all else what homed routes over as many workers give. */
export function stagedRows(samples: readonly StagedSample[]): StagedRow[] {
  return samples.map((sample) => {
    const { what, placement, workers, promptTokens, ms, tokensPerS, idle, idleMost, frameKiB, cpu } = sample;
    return {
      what,
      placement,
      stages: placement === 'homed' ? 1 : workers,
      workers,
      'prompt tokens': promptTokens,
      ms: known(ms),
      'tokens/s': known(tokensPerS),
      'of ideal %': ofIdeal(sample, samples),
      'idle %': known(100 * idle),
      'most idle %': known(100 * idleMost),
      'KiB a frame': known(frameKiB),
      'CPU %': known(100 * cpu),
    };
  });
}

const known = (value: number): number | string => (Number.isNaN(value) ? '' : value);

function ofIdeal(sample: StagedSample, samples: readonly StagedSample[]): number | string {
  const { what, workers, promptTokens, ms, tokensPerS } = sample;
  const base = samples.find(
    (other) =>
      other.what === what &&
      other.placement === 'homed' &&
      other.promptTokens === promptTokens &&
      (what === 'first token' || other.workers === workers),
  );
  if (sample.placement === 'homed' || !base) return '';
  if (what === 'first token') return (100 * base.ms) / ms / idealSpeedUp(promptTokens, workers);
  return (100 * tokensPerS) / base.tokensPerS;
}

export function stagedGoals(rows: readonly StagedRow[], samples: readonly StagedSample[]): Goal[] {
  const shares = (what: string) =>
    rows
      .filter((row) => row.what === what && row.placement === 'staged')
      .map((row) => Number(row['of ideal %']));
  const least = (what: string) => Math.min(...shares(what));
  const saturated = samples.filter(({ what, placement }) => what === 'prompts' && placement === 'staged');
  const hop = samples.find(({ what, workers }) => what === 'hop' && workers === 2);
  return [
    atLeast('speed-up of the first token, least share of the ideal, %', 85, least('first token'), ' %'),
    atMost(
      'idle share of the most idle stage with prompts waiting, %',
      5,
      100 * Math.max(...saturated.map(({ idleMost }) => idleMost)),
      ' %',
    ),
    atLeast('decoding staged, share of homed, %', 85, least('decoding'), ' %'),
    atLeast('decoding staged with early exits, share of homed, %', 85, least('decoding, exits'), ' %'),
    atMost('time of a hop of 32 rows of 2048 in f16 between two workers, p50, ms', 1, hop?.ms ?? Number.NaN),
  ];
}

export const stagedPlots: readonly Plot[] = [
  {
    name: 'first-token',
    title: 'Time to first token by stages and prompt tokens',
    spec: {
      transform: [{ filter: "datum.what === 'first token'" }],
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'stages', type: 'quantitative', scale: { type: 'log', base: 2 } },
        y: { field: 'ms', type: 'quantitative', scale: { type: 'log' } },
        color: { field: 'prompt tokens', type: 'ordinal' },
      },
    },
  },
];
