import { type Address, type ExitSignal, RondoError, shouldExit, survive } from '@rondo/core';
import type { HeadResult, HeadRow, Stack, StackResult } from '@rondo/engine';
import type { MicrobatchChunk } from '@rondo/wire';
import { paddedRows } from './batch.ts';
import { type Chunk, depthOf } from './chunk.ts';
import { stopInLoop, type Whereabouts } from './itinerary.ts';
import type { Tenant } from './tenant.ts';

interface Ways {
  /** Puts a chunk where the step finds it. */
  ready(chunk: Chunk): void;
  send(to: Address, chunks: readonly MicrobatchChunk[]): void;
}

/** Gives every row of a finished run to its next place: another pass here, another worker, the head, or its home. */
export class Settlement {
  readonly #where: Whereabouts;
  readonly #hidden: number;
  readonly #ways: Ways;

  constructor(where: Whereabouts, hidden: number, ways: Ways) {
    this.#where = where;
    this.#hidden = hidden;
    this.#ways = ways;
  }

  stack(stack: Stack, chunks: readonly Chunk[], result: StackResult): void {
    const outgoing: Outgoing = new Map();
    const padded = paddedRows(chunks);
    chunks.forEach((chunk, index) => {
      settleOne(chunk.tenant, () => {
        chunk.tenant.residency.wrote(stack, depthOf(chunk), chunk.start + chunk.rows);
        const row = index * padded;
        const input = result.state.subarray(row * this.#hidden, (row + chunk.rows) * this.#hidden);
        const settled = { ...chunk, input };
        if (stack === 'block') this.#afterPass(settled, signalOf(result, row), outgoing);
        else if (stack === 'prelude') this.#afterPrelude(settled, outgoing);
        else throughStacks(settled);
      });
    });
    for (const [address, microbatch] of outgoing) this.#ways.send(address, microbatch);
  }

  head(chunks: readonly Chunk[], result: HeadResult): void {
    let first = 0;
    for (const chunk of chunks) {
      const rows = Array.from({ length: chunk.rows }, (_, row) => headRow(result, first + row));
      first += chunk.rows;
      settleOne(chunk.tenant, () => {
        if (chunk.tenant.kind === 'home') chunk.tenant.heard(chunk, rows);
      });
    }
  }

  /** Takes in rows from another worker: passes to run here, or the way home. */
  arrive(tenant: Tenant, { start, rows, state, depth }: MicrobatchChunk): void {
    settleOne(tenant, () => {
      const stop = stopInLoop(this.#where, tenant.route, depth, false);
      const fits =
        rows > 0 && start + rows <= tenant.residency.positions && state.length === rows * this.#hidden;
      if (stop.at === 'peer' || !fits) {
        throw new RondoError(
          'INVALID_REQUEST',
          `rows ${start}…${start + rows - 1} at depth ${depth} with ${state.length} floats have no place on worker ${this.#where.self}`,
        );
      }
      const phase = 'block';
      const chunk: Chunk = {
        tenant,
        phase,
        passes: depth,
        start,
        rows,
        input: state,
        survival: 1,
        wantLogits: false,
      };
      this.#onward(chunk, false, new Map());
    });
  }

  #afterPrelude(chunk: Chunk, outgoing: Outgoing): void {
    this.#onward(chunk, false, outgoing);
    if (chunk.tenant.kind === 'home') chunk.tenant.leftPrelude();
  }

  #afterPass(chunk: Chunk, signal: ExitSignal, outgoing: Outgoing): void {
    const passes = chunk.passes + 1;
    const survival = signal.gate === undefined ? chunk.survival : survive(chunk.survival, signal.gate);
    const rule = chunk.tenant.kind === 'home' ? chunk.tenant.exitRule(chunk) : undefined;
    const exited = rule !== undefined && shouldExit(rule, passes, survival, signal);
    if (exited) chunk.tenant.residency.copyDeeper(chunk.start, depthOf(chunk));
    this.#onward({ ...chunk, passes, survival }, exited, outgoing);
  }

  #onward(chunk: Chunk, exited: boolean, outgoing: Outgoing): void {
    const stop = stopInLoop(this.#where, chunk.tenant.route, chunk.passes, exited);
    if (stop.at === 'here') {
      if (stop.phase === 'head') throughStacks(chunk);
      else this.#ways.ready({ ...chunk, phase: stop.phase });
      return;
    }
    const { address } = stop.worker;
    const { tenant, passes: depth, start, rows } = chunk;
    const { sequenceId, route } = tenant;
    const microbatch = outgoing.get(address) ?? [];
    outgoing.set(address, microbatch);
    microbatch.push({
      sequenceId,
      epoch: route.epoch,
      depth,
      start,
      rows,
      state: chunk.input as Float32Array,
    });
  }
}

type Outgoing = Map<Address, MicrobatchChunk[]>;

/** One sequence's trouble stays its own. */
function settleOne(tenant: Tenant, settle: () => void): void {
  if (!tenant.open) return;
  try {
    settle();
  } catch (thrown) {
    tenant.fail(RondoError.from(thrown));
  }
}

function throughStacks(chunk: Chunk): void {
  if (chunk.tenant.kind === 'home') chunk.tenant.throughStacks(chunk);
}

function signalOf(result: StackResult, row: number): ExitSignal {
  const [gate, latentDiff] = [result.gate?.[row], result.latentDiff?.[row]];
  return { ...(gate !== undefined && { gate }), ...(latentDiff !== undefined && { latentDiff }) };
}

function headRow(result: HeadResult, row: number): HeadRow {
  const rows = result.logSumExp.length;
  const part = <Numbers extends Float32Array | Int32Array>(all: Numbers): Numbers =>
    all.subarray((row * all.length) / rows, ((row + 1) * all.length) / rows) as Numbers;
  return {
    topLogits: part(result.topLogits),
    topIds: part(result.topIds),
    logSumExp: result.logSumExp[row]!,
    logits: result.logits && part(result.logits),
  };
}
