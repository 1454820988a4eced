import type { Manifest } from '@rondo/bundle';
import { type Address, decideExit, RondoError, survive } from '@rondo/core';
import type { HeadResult, HeadRow, Stack, StackResult } from '@rondo/engine';
import type { MicrobatchChunk } from '@rondo/wire';
import { type Chunk, depthOf } from './chunk.ts';
import { stopInLoop, type Whereabouts } from './itinerary.ts';
import type { Propagation } from './propagation.ts';
import type { Tenant } from './tenant.ts';

export interface SettleOptions {
  readonly where: Whereabouts;
  readonly hidden: number;
  readonly kvPolicy: Manifest['kvPolicy'];
  readonly propagation: Propagation;
}

interface Ways {
  /** Puts a chunk where the step finds it. */
  ready(chunk: Chunk): void;
  send(to: Address, chunks: readonly MicrobatchChunk[]): void;
}

/** Gives every row of a finished run to its next place: another pass here, another worker, the head, or its home. */
export class Settlement {
  readonly #where: Whereabouts;
  readonly #hidden: number;
  readonly #kvPolicy: Manifest['kvPolicy'];
  readonly #propagation: Propagation;
  readonly #ways: Ways;

  constructor({ where, hidden, kvPolicy, propagation }: SettleOptions, ways: Ways) {
    this.#where = where;
    this.#hidden = hidden;
    this.#kvPolicy = kvPolicy;
    this.#propagation = propagation;
    this.#ways = ways;
  }

  stack(stack: Stack, chunks: readonly Chunk[], result: StackResult): void {
    const outgoing: Outgoing = new Map();
    let row = 0;
    for (const chunk of chunks) {
      settleOne(chunk.tenant, () => {
        chunk.tenant.residency.wrote(stack, depthOf(chunk), chunk.start + chunk.rows);
        const input = result.state.subarray(row * this.#hidden, (row + chunk.rows) * this.#hidden);
        const settled = { ...chunk, input };
        if (stack === 'block') this.#afterPass(settled, result, row, outgoing);
        else if (stack === 'prelude') this.#afterPrelude(settled, outgoing);
        else throughStacks(settled);
      });
      row += chunk.rows;
    }
    for (const [address, microbatch] of outgoing) this.#ways.send(address, microbatch);
  }

  head(chunks: readonly Chunk[], result: HeadResult): void {
    let first = 0;
    for (const chunk of chunks) {
      const rows = Array.from({ length: chunk.rows }, (_, row) => headRow(result, first + row));
      first += chunk.rows;
      settleOne(chunk.tenant, () => {
        if (chunk.tenant.kind !== 'home') return;
        if (chunk.undecided && !this.#sure(chunk, chunk.undecided, rows[0]!)) return;
        chunk.tenant.heard(chunk, rows);
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
        owed: 0,
      };
      this.#onward(chunk, false, new Map());
    });
  }

  #afterPrelude(chunk: Chunk, outgoing: Outgoing): void {
    this.#onward(chunk, false, outgoing);
    if (chunk.tenant.kind === 'home') chunk.tenant.leftPrelude();
  }

  #afterPass(chunk: Chunk, result: StackResult, row: number, outgoing: Outgoing): void {
    const after = { ...chunk, passes: chunk.passes + 1 };
    const live = this.#withoutOwed(after);
    if (live.rows === 0) return;
    const last = row + chunk.rows - 1;
    const gate = result.gate?.[last];
    const survival = gate === undefined ? chunk.survival : survive(chunk.survival, gate);
    const settled = { ...live, survival };
    const { tenant } = chunk;
    const rule = tenant.kind === 'home' ? tenant.exitRule(live) : undefined;
    if (!rule || tenant.kind !== 'home') {
      this.#onward(settled, false, outgoing);
      return;
    }
    const signal = { survival, latentDiff: result.latentDiff?.[last], row: tenant.generatedRow(live) };
    const decision = decideExit(rule, after.passes, signal);
    if (decision === 'exit') this.#leaveLoop(settled, settled.input as Float32Array);
    const asked = decision === 'ask-head' && { undecided: settled.input as Float32Array };
    this.#onward({ ...settled, ...asked }, decision !== 'go-on', outgoing);
  }

  /** Rows whose token is out go on by themselves to the depths they owe; returns the others. */
  #withoutOwed(chunk: Chunk): Chunk {
    const { owed, start, rows, passes } = chunk;
    if (owed === 0) return chunk;
    const input = chunk.input as Float32Array;
    const split = owed * this.#hidden;
    if (passes < this.#where.maxDepth)
      this.#ways.ready({ ...chunk, rows: owed, input: input.slice(0, split) });
    return { ...chunk, owed: 0, start: start + owed, rows: rows - owed, input: input.subarray(split) };
  }

  /** The row leaves with `state` after its last pass: what deeper passes of later rows will read of it. */
  #leaveLoop(chunk: Chunk, state: Float32Array): void {
    const { tenant, start, passes } = chunk;
    if (passes >= this.#where.maxDepth) return;
    switch (this.#kvPolicy) {
      case 'last-exited':
        tenant.residency.copyDeeper(start, passes - 1);
        return;
      case 'propagate': {
        const page = tenant.residency.reachDeeper(start, passes);
        this.#propagation.add({ tenant, position: start, page, state });
        return;
      }
      case 'catch-up':
        this.#ways.ready({ ...chunk, phase: 'block', owed: 1, input: state });
    }
  }

  /** The head has seen a row that may leave: it does when the likeliest token is likely enough, else it goes back. */
  #sure(chunk: Chunk, state: Float32Array, row: HeadRow): boolean {
    const { tenant, passes, survival, start } = chunk;
    if (tenant.kind !== 'home') return true;
    const confidence = Math.exp(row.topLogits[0]! - row.logSumExp);
    const rule = tenant.exitRule(chunk)!;
    const settled = { ...chunk, undecided: undefined };
    if (decideExit(rule, passes, { survival, confidence, row: tenant.generatedRow(chunk) }) === 'exit') {
      this.#leaveLoop(settled, state);
      return true;
    }
    // Coda layers will run on this position again.
    tenant.residency.wrote('coda', 0, start);
    this.#ways.ready({ ...settled, phase: 'block', input: state });
    return false;
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
