import type { Manifest } from '@rondo/bundle';
import { type Address, decideExit, RondoError, stageAt, survive } from '@rondo/core';
import type { HeadResult, HeadRow, HeadRows, Stack, StackResult } from '@rondo/engine';
import type { ChunkKind, MicrobatchChunk } from '@rondo/wire';
import { type Chunk, depthOf } from './chunk.ts';
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

interface Ways {
  /** Puts a chunk where the step finds it. */
  ready(chunk: Chunk): void;
  /** Rows for another worker, which leave when they are told to. */
  put(to: Address, chunks: readonly OutgoingChunk[]): void;
  /** Rows that were put need wait for no run. */
  flush(): void;
  /** There is something to do besides chunks. */
  wake(): void;
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

  /** What goes to other workers leaves with the next flush. `asked`: what the head was asked in the same run. */
  stack(stack: Stack, chunks: readonly Chunk[], result: StackResult, asked?: HeadRows): void {
    const outgoing: Outgoing = new Map();
    let row = 0;
    for (const chunk of chunks) {
      settleOne(chunk.tenant, () => {
        chunk.tenant.residency.wrote(stack, depthOf(chunk), chunk.start + chunk.rows);
        const input = result.state.subarray(row * this.#hidden, (row + chunk.rows) * this.#hidden);
        const heads = asked && headsOf(asked, result.head!, row, row + chunk.rows);
        const settled = { ...chunk, input, heads };
        if (stack === 'block') this.#afterPass(settled, result, row, outgoing);
        else if (stack === 'prelude') this.#afterPrelude(settled, outgoing);
        else this.#throughStacks(settled);
      });
      row += chunk.rows;
    }
    this.#put(outgoing);
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
    const outgoing: Outgoing = new Map();
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
      const chunk: Chunk = { ...at, input, survival, wantLogits: false, owed };
      if (kind === 'skipped') this.#skip(chunk, outgoing);
      else if (kind === 'owed') this.#ways.ready(chunk);
      else this.#onward(chunk, kind === 'exited', outgoing);
    });
    if (outgoing.size === 0) return;
    this.#put(outgoing);
    this.#ways.flush();
  }

  /** Rows that are through the stacks go to the head, unless it has seen them in the same run. */
  #throughStacks(chunk: Chunk): void {
    if (chunk.tenant.kind !== 'home') return;
    const forHead = chunk.tenant.throughStacks({ ...chunk, heads: undefined });
    if (!forHead) return;
    if (chunk.heads) this.#heard(forHead, chunk.heads);
    else this.#ways.ready(forHead);
  }

  #heard(chunk: Chunk, rows: readonly HeadRow[]): void {
    if (chunk.tenant.kind !== 'home') return;
    if (chunk.undecided && !this.#sure(chunk, chunk.undecided, rows[0]!)) return;
    // Decided once: a row that comes to the head again, for all logits, has left the loop.
    chunk.tenant.heard(chunk.undecided ? { ...chunk, undecided: undefined } : chunk, rows);
  }

  #put(outgoing: Outgoing): void {
    for (const [address, microbatch] of outgoing) this.#ways.put(address, microbatch);
  }

  #afterPrelude(chunk: Chunk, outgoing: Outgoing): void {
    this.#onward(chunk, false, outgoing);
    if (chunk.tenant.kind === 'home') chunk.tenant.leftPrelude();
  }

  #afterPass(chunk: Chunk, result: StackResult, row: number, outgoing: Outgoing): void {
    const after = { ...chunk, passes: chunk.passes + 1 };
    const live = this.#withoutOwed(after, outgoing);
    if (live.rows === 0) return;
    const last = row + chunk.rows - 1;
    const gate = result.gate?.[last];
    const survival = gate === undefined ? chunk.survival : survive(chunk.survival, gate);
    const settled = { ...live, survival };
    const { tenant } = chunk;
    const rule = tenant.exitRule(live);
    if (!rule) {
      this.#onward(settled, false, outgoing);
      return;
    }
    const signal = { survival, latentDiff: result.latentDiff?.[last], row: tenant.generatedRow(live) };
    const decision = decideExit(rule, after.passes, signal);
    const looked =
      rule.policy === 'latent-diff' ? signal.latentDiff : gate === undefined ? undefined : survival;
    tenant.recorder?.decided(live, looked, decision === 'exit' && after.passes < this.#where.maxDepth);
    if (decision === 'exit') this.#leaveLoop(settled, settled.input as Float32Array, outgoing);
    const asked = decision === 'ask-head' && { undecided: settled.input as Float32Array };
    this.#onward({ ...settled, ...asked }, decision !== 'go-on', outgoing);
  }

  /** Rows whose token is out go on by themselves to the depths they owe; returns the others. */
  #withoutOwed(chunk: Chunk, outgoing: Outgoing): Chunk {
    const { owed, start, rows } = chunk;
    if (owed === 0) return chunk;
    const input = chunk.input as Float32Array;
    const split = owed * this.#hidden;
    this.#owe({ ...chunk, rows: owed, input: input.slice(0, split) }, outgoing);
    return { ...chunk, owed: 0, start: start + owed, rows: rows - owed, input: input.subarray(split) };
  }

  /** Rows leave with `state` after their last pass: what deeper passes of later rows will read of them. */
  #leaveLoop(chunk: Chunk, state: Float32Array, outgoing: Outgoing): void {
    const { tenant, start, rows, passes } = chunk;
    if (passes >= this.#where.maxDepth) return;
    switch (this.#kvPolicy) {
      case 'last-exited':
        for (let position = start; position < start + rows; position++)
          tenant.residency.copyDeeper(position, passes - 1, this.#where.maxDepth);
        return;
      case 'propagate':
        this.#skip({ ...chunk, input: state }, outgoing);
        return;
      case 'catch-up':
        this.#owe({ ...chunk, owed: rows, input: state }, outgoing);
    }
  }

  /** Has the K and V of rows that left projected at the depths from `passes` on: here, and then on the stages behind. */
  #skip(chunk: Chunk, outgoing: Outgoing): void {
    const { tenant, start, rows } = chunk;
    const states = chunk.input as Float32Array;
    let depth = chunk.passes;
    for (let stage = stageAt(tenant.route, depth); stage; stage = stageAt(tenant.route, depth)) {
      if (stage.worker.id !== this.#where.self) {
        post(outgoing, stage.worker.address, { ...chunk, passes: depth }, 'skipped');
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
    this.#ways.wake();
  }

  /** Rows whose token is out go to the next depth that they owe, when there is one. */
  #owe(chunk: Chunk, outgoing: Outgoing): void {
    const stage = stageAt(chunk.tenant.route, chunk.passes);
    if (!stage) return;
    if (stage.worker.id === this.#where.self) this.#ways.ready({ ...chunk, phase: 'block' });
    else post(outgoing, stage.worker.address, chunk, 'owed');
  }

  /** The head has seen a row that may leave: it does when the likeliest token is likely enough, else it goes back. */
  #sure(chunk: Chunk, state: Float32Array, row: HeadRow): boolean {
    const { tenant, passes, survival, start } = chunk;
    const confidence = Math.exp(row.topLogits[0]! - row.logSumExp);
    const rule = tenant.exitRule(chunk)!;
    const settled = { ...chunk, undecided: undefined };
    const exits =
      decideExit(rule, passes, { survival, confidence, row: tenant.generatedRow(chunk) }) === 'exit';
    tenant.recorder?.decided(chunk, confidence, exits);
    if (exits) {
      const outgoing: Outgoing = new Map();
      this.#leaveLoop(settled, state, outgoing);
      this.#put(outgoing);
      return true;
    }
    // Coda layers will run on this position again.
    tenant.residency.wrote('coda', 0, start);
    this.#ways.ready({ ...settled, phase: 'block', input: state });
    return false;
  }

  /** The last rows of a chunk that is through the loop, as many as its home needs: they stand for all of it. */
  #forHome(chunk: Chunk): Chunk {
    const { tenant, start } = chunk;
    const rows = tenant.kind === 'stage' ? tenant.rowsForHome(chunk) : chunk.rows;
    const input = chunk.input.subarray(chunk.input.length - rows * this.#hidden);
    return { ...chunk, start: start + chunk.rows - rows, rows, input };
  }

  #onward(chunk: Chunk, exited: boolean, outgoing: Outgoing): void {
    const stop = stopInLoop(this.#where, chunk.tenant.route, chunk.passes, exited);
    if (stop.at === 'here') {
      if (stop.phase === 'head') this.#throughStacks(chunk);
      else this.#ways.ready({ ...chunk, phase: stop.phase });
      return;
    }
    const leaves = chunk.passes >= this.#where.maxDepth && !exited;
    post(outgoing, stop.worker.address, leaves ? this.#forHome(chunk) : chunk, exited ? 'exited' : 'live');
  }
}

type Outgoing = Map<Address, OutgoingChunk[]>;

function post(outgoing: Outgoing, address: Address, chunk: Chunk, kind: ChunkKind): void {
  const { tenant, passes: depth, start, rows, survival } = chunk;
  const { sequenceId, route } = tenant;
  const microbatch = outgoing.get(address) ?? [];
  outgoing.set(address, microbatch);
  const state = chunk.input as Float32Array;
  const generated = tenant.isGenerated(start);
  // What runs at home needs no way there.
  const told = tenant.kind === 'stage' ? tenant.recorder?.take() : undefined;
  microbatch.push({
    sequenceId,
    epoch: route.epoch,
    kind,
    depth,
    start,
    rows,
    rest: 0,
    survival,
    state,
    generated,
    ...(told && { told }),
  });
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

/** What the head said of those rows from `first` to `end` of a run that it was asked about; undefined when of none. */
function headsOf({ rows }: HeadRows, result: HeadResult, first: number, end: number): HeadRow[] | undefined {
  const heads: HeadRow[] = [];
  rows.forEach((row, at) => {
    if (row >= first && row < end) heads.push(headRow(result, at));
  });
  return heads.length > 0 ? heads : undefined;
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
