import type { Manifest } from '@rondo/bundle';
import { type Address, decideExit, RondoError, stageAt, survive } from '@rondo/core';
import type { HeadRequest, HeadResult, HeadRow, Stack, StackResult } from '@rondo/engine';
import type { MicrobatchChunk } from '@rondo/wire';
import { type Chunk, depthOf, inputOf } from './chunk.ts';
import { Departures } from './departures.ts';
import { headRow, headRowsOf } from './head-rows.ts';
import { stopInLoop, type Whereabouts } from './itinerary.ts';
import type { OutgoingChunk } from './outbox.ts';
import type { Propagation } from './propagation.ts';
import type { Tenant } from './tenant.ts';

export interface SettleOptions {
  readonly where: Whereabouts;
  readonly hidden: number;
  readonly kvPolicy: Manifest['kvPolicy'];
  readonly propagation: Propagation;
}

interface Hooks {
  /** Puts a chunk where the step finds it. */
  ready(chunk: Chunk): void;
  /** Rows for another worker, which leave when they are told to. */
  put(to: Address, chunks: readonly OutgoingChunk[]): void;
  /** There is something to do besides chunks. */
  wake(): void;
}

/** Gives every row of a finished run to its next place: another pass here, another worker, the head, or its home. */
export class Settlement {
  readonly #where: Whereabouts;
  readonly #hidden: number;
  readonly #kvPolicy: Manifest['kvPolicy'];
  readonly #propagation: Propagation;
  readonly #hooks: Hooks;

  constructor({ where, hidden, kvPolicy, propagation }: SettleOptions, hooks: Hooks) {
    this.#where = where;
    this.#hidden = hidden;
    this.#kvPolicy = kvPolicy;
    this.#propagation = propagation;
    this.#hooks = hooks;
  }

  /**
   * What goes to other workers leaves with the next flush. `head`: what the head was asked in the same run; `kept`: the slot in
   * which each row's state stays, −1 where it came back.
   */
  stack(
    stack: Stack,
    chunks: readonly Chunk[],
    result: StackResult,
    { head, kept }: { readonly head?: HeadRequest | undefined; readonly kept?: Int32Array | undefined },
  ): void {
    const departures = new Departures();
    let [row, floats] = [0, 0];
    for (const chunk of chunks) {
      const end = row + chunk.rows;
      const stays = (kept?.[row] ?? -1) >= 0;
      const from = floats;
      if (!stays) floats += chunk.rows * this.#hidden;
      const input = stays ? kept!.subarray(row, end) : result.state.subarray(from, floats);
      settleOne(chunk.tenant, () => {
        chunk.tenant.residency.wrote(stack, depthOf(chunk), chunk.start + chunk.rows);
        const heads = head && headRowsOf(head, result.head!, row, end);
        const settled = { ...chunk, input, heads };
        if (stack === 'block') this.#afterPass(settled, result, row, departures);
        else if (stack === 'prelude') this.#afterPrelude(settled, departures);
        else this.#throughStacks(settled);
      });
      row = end;
    }
    departures.leave(this.#hooks);
  }

  head(chunks: readonly Chunk[], result: HeadResult): void {
    let first = 0;
    for (const chunk of chunks) {
      const rows = Array.from({ length: chunk.rows }, (_, row) => headRow(result, first + row));
      first += chunk.rows;
      settleOne(chunk.tenant, () => this.#heard(chunk, rows));
    }
  }

  /** Takes in rows from another worker: passes to run here, K and V to project, or rows that come home. */
  arrive(tenant: Tenant, { kind, start, rows, state, depth, survival, told }: MicrobatchChunk): void {
    const departures = new Departures();
    settleOne(tenant, () => {
      if (told) tenant.recorder?.hear(told);
      const early = kind !== 'live';
      const stop = stopInLoop(this.#where, tenant.route, depth, kind === 'exited');
      const fits =
        rows > 0 && start + rows <= tenant.residency.positions && state.length === rows * this.#hidden;
      // Only generated rows leave early, and what they leave behind is for a depth of this worker.
      const belongs =
        !early || (tenant.isGenerated(start) && (kind === 'exited' || depth < this.#where.maxDepth));
      if (stop.at === 'peer' || !fits || !belongs) {
        throw new RondoError(
          'INVALID_REQUEST',
          `${kind} rows ${start}…${start + rows - 1} at depth ${depth} with ${state.length} floats have no place on worker ${this.#where.self}`,
        );
      }
      const input = state;
      const owed = kind === 'owed' ? rows : 0;
      const at = { tenant, phase: 'block', passes: depth, start, rows } as const;
      const chunk: Chunk = { ...at, input, own: input, survival, wantLogits: false, owed };
      if (kind === 'skipped') this.#skip(chunk, departures);
      else if (kind === 'owed') this.#hooks.ready(chunk);
      else this.#onward(chunk, kind === 'exited', departures);
    });
    // What others left behind here travels on with the next rows that leave: those of its sequence come later.
    departures.leave(this.#hooks);
  }

  /** Rows that are through the stacks go to the head, unless it has seen them in the same run. */
  #throughStacks(chunk: Chunk): void {
    if (chunk.tenant.kind !== 'home') return;
    const forHead = chunk.tenant.throughStacks({ ...chunk, heads: undefined });
    if (!forHead) return;
    if (chunk.heads) this.#heard(forHead, chunk.heads);
    else this.#hooks.ready(forHead);
  }

  #heard(chunk: Chunk, rows: readonly HeadRow[]): void {
    if (chunk.tenant.kind !== 'home') return;
    if (chunk.undecided && !this.#sure(chunk, chunk.undecided, rows[0]!)) return;
    // Decided once: a row that comes to the head again, for all logits, has left the loop.
    chunk.tenant.heard(chunk.undecided ? { ...chunk, undecided: undefined } : chunk, rows);
  }

  #afterPrelude(chunk: Chunk, departures: Departures): void {
    this.#onward(chunk, false, departures);
    if (chunk.tenant.kind === 'home') chunk.tenant.leftPrelude();
  }

  #afterPass(chunk: Chunk, result: StackResult, row: number, departures: Departures): void {
    const after = { ...chunk, passes: chunk.passes + 1 };
    const live = this.#withoutOwed(after, departures);
    if (live.rows === 0) return;
    const last = row + chunk.rows - 1;
    const gate = result.gate?.[last];
    const survival = gate === undefined ? chunk.survival : survive(chunk.survival, gate);
    const settled = { ...live, survival };
    const { tenant } = chunk;
    const rule = tenant.exitRule(live);
    if (!rule) {
      this.#onward(settled, false, departures);
      return;
    }
    const signal = { survival, latentDiff: result.latentDiff?.[last], row: tenant.generatedRow(live) };
    const decision = decideExit(rule, after.passes, signal);
    const looked =
      rule.policy === 'latent-diff' ? signal.latentDiff : gate === undefined ? undefined : survival;
    tenant.recorder?.decided(live, looked, decision === 'exit' && after.passes < this.#where.maxDepth);
    if (decision === 'exit') this.#leaveLoop(settled, settled.input, departures);
    const asked = decision === 'ask-head' && { undecided: settled.input };
    this.#onward({ ...settled, ...asked }, decision !== 'go-on', departures);
  }

  /** Rows whose token is out go on by themselves to the depths they owe; returns the others. */
  #withoutOwed(chunk: Chunk, departures: Departures): Chunk {
    const { owed, start, rows } = chunk;
    if (owed === 0) return chunk;
    this.#owe({ ...chunk, rows: owed, input: inputOf(chunk, 0, owed).slice() }, departures);
    return { ...chunk, owed: 0, start: start + owed, rows: rows - owed, input: inputOf(chunk, owed) };
  }

  /** Rows leave with `state` after their last pass: what deeper passes of later rows will read of them. */
  #leaveLoop(chunk: Chunk, state: Chunk['input'], departures: Departures): void {
    const { tenant, start, rows, passes } = chunk;
    if (passes >= this.#where.maxDepth) return;
    switch (this.#kvPolicy) {
      case 'last-exited':
        for (let position = start; position < start + rows; position++)
          tenant.residency.copyDeeper(position, passes - 1, this.#where.maxDepth);
        return;
      case 'propagate':
        this.#skip({ ...chunk, input: state }, departures);
        return;
      case 'catch-up':
        this.#owe({ ...chunk, owed: rows, input: state }, departures);
    }
  }

  /** Has the K and V of rows that left projected at the depths from `passes` on: here, and then on the stages behind. */
  #skip(chunk: Chunk, departures: Departures): void {
    const { tenant, start, rows } = chunk;
    const states = chunk.input as Float32Array;
    let depth = chunk.passes;
    for (let stage = stageAt(tenant.route, depth); stage; stage = stageAt(tenant.route, depth)) {
      if (stage.worker.id !== this.#where.self) {
        departures.add(stage.worker.address, { ...chunk, passes: depth }, 'skipped');
        break;
      }
      expectNext(tenant, depth, start);
      for (let row = 0; row < rows; row++) {
        const position = start + row;
        const page = tenant.residency.reachDeeper(position, depth, stage.depths.end);
        const state = states.slice(row * this.#hidden, (row + 1) * this.#hidden);
        this.#propagation.add({ tenant, position, page, state });
      }
      depth = stage.depths.end;
    }
    this.#hooks.wake();
  }

  /** Rows whose token is out go to the next depth that they owe, when there is one. */
  #owe(chunk: Chunk, departures: Departures): void {
    const stage = stageAt(chunk.tenant.route, chunk.passes);
    if (!stage) return;
    if (stage.worker.id === this.#where.self) this.#hooks.ready({ ...chunk, phase: 'block' });
    else departures.add(stage.worker.address, chunk, 'owed');
  }

  /** The head has seen a row that may leave: it does when the likeliest token is likely enough, else it goes back. */
  #sure(chunk: Chunk, state: Chunk['input'], row: HeadRow): boolean {
    const { tenant, passes, survival, start } = chunk;
    const confidence = Math.exp(row.topLogits[0]! - row.logSumExp);
    const rule = tenant.exitRule(chunk)!;
    const settled = { ...chunk, undecided: undefined };
    const exits =
      decideExit(rule, passes, { survival, confidence, row: tenant.generatedRow(chunk) }) === 'exit';
    tenant.recorder?.decided(chunk, confidence, exits);
    if (exits) {
      const departures = new Departures();
      this.#leaveLoop(settled, state, departures);
      departures.leave(this.#hooks);
      return true;
    }
    // Coda layers will run on this position again.
    tenant.residency.wrote('coda', 0, start);
    this.#hooks.ready({ ...settled, phase: 'block', input: state });
    return false;
  }

  /** The last rows of a chunk that is through the loop, as many as its home needs: they stand for all of it. */
  #forHome(chunk: Chunk): Chunk {
    const { tenant, start } = chunk;
    const rows = tenant.kind === 'stage' ? tenant.rowsForHome(chunk) : chunk.rows;
    const input = inputOf(chunk, chunk.rows - rows);
    return { ...chunk, start: start + chunk.rows - rows, rows, input };
  }

  #onward(chunk: Chunk, exited: boolean, departures: Departures): void {
    const stop = stopInLoop(this.#where, chunk.tenant.route, chunk.passes, exited);
    if (stop.at === 'here') {
      if (stop.phase === 'head') this.#throughStacks(chunk);
      else this.#hooks.ready({ ...chunk, phase: stop.phase });
      return;
    }
    const leaves = chunk.passes >= this.#where.maxDepth && !exited;
    departures.add(stop.worker.address, leaves ? this.#forHome(chunk) : chunk, exited ? 'exited' : 'live');
  }
}

/** K and V are written in the order of their positions, whoever writes them. */
function expectNext(tenant: Tenant, depth: number, start: number): void {
  const written = tenant.residency.written('block', depth);
  if (written === start) return;
  throw new RondoError(
    'INTERNAL',
    `sequence ${tenant.sequenceId}, depth ${depth}: position ${start} came while ${written} positions were written`,
  );
}

/** One sequence's trouble stays its own. */
function settleOne(tenant: Tenant, settle: () => void): void {
  if (!tenant.open) return;
  try {
    settle();
  } catch (thrown) {
    tenant.fail(RondoError.from(thrown));
  }
}
