import {
  type ExitRule,
  type FinishReason,
  type GenerateEvent,
  type GenerateSpec,
  type PromptLogprobsEvent,
  RondoError,
  type Route,
  type SequenceId,
} from '@rondo/core';
import { type HeadRow, logprobOf, needsLogits, sample, topLogprobs } from '@rondo/engine';
import { type Chunk, inputOf } from './chunk.ts';
import { EventQueue } from './event-queue.ts';
import type { Residency } from './residency.ts';
import { RunRecorder } from './run-recorder.ts';
import type { Resident } from './tenant.ts';

export interface HomePlan {
  /** Longest chunk of the prompt, in rows. */
  readonly chunkRows: number;
  /** Chunks of the prompt that may be on their way at once. */
  readonly chunksInFlight: number;
  /** Tokens to generate at most. */
  readonly tokensMax: number;
  /** Top logits per row of the head. */
  readonly candidates: number;
}

interface Hooks {
  /** Puts a chunk where the step finds it. */
  ready(chunk: Chunk): void;
  /** A generated row has given a token, after so many passes. */
  spent(passes: number): void;
  /** Has the reader of events called when there is time for it. */
  wake(reader: () => void): void;
  /** The sequence has ended, however it did. */
  closed(home: HomeSequence): void;
}

/**
 * A sequence's life on its home worker: prompt chunks in, rows through prelude, passes and coda, tokens out. One that has
 * lived elsewhere brings the tokens it emitted there: their rows are given, as those of the prompt, but each leaves the loop
 * after the passes it spent there, so that K and V become what they were.
 */
export class HomeSequence implements Resident {
  readonly kind = 'home';
  readonly events: EventQueue<GenerateEvent>;
  readonly residency: Residency;
  readonly recorder: RunRecorder | undefined;
  readonly #spec: GenerateSpec;
  readonly #plan: HomePlan;
  readonly #hooks: Hooks;
  readonly #replay: ExitRule | undefined;
  readonly #output: number[];
  #open = true;
  /** Position of the first given row not yet released. */
  #released: number;
  /** Position of the first given row that is not through all stacks. */
  #through: number;
  #failure: RondoError | undefined;
  #inFlight = 0;
  #inPrelude = false;
  #promptPasses = 0;
  #generatedPasses = 0;

  constructor(spec: GenerateSpec, residency: Residency, plan: HomePlan, hooks: Hooks) {
    this.residency = residency;
    this.#released = residency.cachedPositions;
    this.#through = residency.cachedPositions;
    this.#spec = spec;
    this.#plan = plan;
    this.#hooks = hooks;
    this.events = new EventQueue((reader) => hooks.wake(reader));
    this.#output = spec.emitted.map(({ id }) => id);
    this.#replay = replayRule(spec.emitted);
    if (spec.tellRuns) this.recorder = new RunRecorder();
  }

  get traceparent(): string | undefined {
    return this.#spec.traceparent;
  }

  get sequenceId(): SequenceId {
    return this.#spec.sequenceId;
  }

  get route(): Route {
    return this.#spec.route;
  }

  get open(): boolean {
    return this.#open;
  }

  get background(): boolean {
    return this.#spec.background === true;
  }

  /** Sends the first chunk on its way; when nobody asks for its rows, the sequence is finished. */
  start(): void {
    const last = this.#output.at(-1);
    if (last !== undefined && this.#spec.stopIds.includes(last)) this.#finish('stop');
    else if (this.#output.length < this.#plan.tokensMax || this.#spec.promptLogprobs) this.#release();
    else this.#finish('length');
  }

  isGenerated(position: number): boolean {
    return position >= this.#promptRows;
  }

  exitRule(chunk: Chunk): ExitRule | undefined {
    if (!this.isGenerated(chunk.start)) return undefined;
    return chunk.start < this.#lastGiven ? this.#replay : this.#spec.exit;
  }

  /** True once its first token from here is out. */
  get decoding(): boolean {
    return this.#output.length > this.#spec.emitted.length;
  }

  generatedRow({ start, rows }: Chunk): number {
    return start + rows - 1 - this.#promptRows;
  }

  /** A chunk has left the prelude: the next one may enter, if not too many are on their way. */
  leftPrelude(): void {
    this.#inPrelude = false;
    this.#release();
  }

  /**
   * A chunk is through all of its passes and the coda; of one that comes home from a last stage perhaps only the last row.
   * Returns what the head must see of it.
   */
  throughStacks(chunk: Chunk): Chunk | undefined {
    const end = chunk.start + chunk.rows;
    if (chunk.start < this.#promptRows) this.#promptPasses += (end - this.#through) * chunk.passes;
    this.#through = end;
    const given = chunk.start <= this.#lastGiven;
    if (given) this.#inFlight--;
    if (given) this.#release();
    if (given) this.#tellRuns();
    const need = this.headNeed(chunk);
    if (!need) return undefined;
    const { rows, wantLogits } = need;
    const input = inputOf(chunk, chunk.rows - rows).slice();
    return { ...chunk, phase: 'head', start: end - rows, rows, input, wantLogits };
  }

  /** How many of a chunk's last rows the head must see: from the last given one on, of a prompt with logprobs all. */
  headNeed({
    start,
    rows,
  }: Pick<Chunk, 'start' | 'rows'>): { readonly rows: number; readonly wantLogits: boolean } | undefined {
    const end = start + rows;
    const all = this.#spec.promptLogprobs && start < this.#promptRows;
    const first = all ? start : Math.max(start, this.#lastGiven);
    if (first >= end) return undefined;
    // A token of the prompt may be an unlikely one.
    const wantLogits =
      first < this.#promptRows - 1 || needsLogits(this.#spec.sampling, this.#plan.candidates);
    return { rows: end - first, wantLogits };
  }

  /** The head has run on a chunk: log probabilities of the prompt's tokens, then perhaps the next token. */
  heard(chunk: Chunk, rows: readonly HeadRow[]): void {
    const first = chunk.start + 1;
    const ofPrompt = rows.slice(0, Math.max(0, this.#promptRows - first));
    if (ofPrompt.length > 0) {
      const tokens = ofPrompt.map((row, index) =>
        this.#promptLogprob(row, this.#spec.promptIds[first + index]!),
      );
      this.events.push({ type: 'prompt-logprobs', epoch: this.route.epoch, first, tokens });
    }
    if (chunk.start + chunk.rows <= this.#lastGiven) return;
    if (this.#plan.tokensMax === 0) this.#finish('length');
    else this.#sample(chunk, rows.at(-1)!);
  }

  /** Why it failed, when it did. */
  get failure(): RondoError | undefined {
    return this.#failure;
  }

  fail(error: RondoError): void {
    if (this.#open) this.#failure = error;
    this.events.end(error);
    this.close();
  }

  /** Ends the sequence without another event; the second call does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.events.end();
    this.#hooks.closed(this);
  }

  get #promptRows(): number {
    return this.#spec.promptIds.length;
  }

  /** Position of the last row that is given: the next token comes from it. */
  get #lastGiven(): number {
    return this.#promptRows + this.#spec.emitted.length - 1;
  }

  #release(): void {
    const start = this.#released;
    if (start > this.#lastGiven || this.#inPrelude || this.#inFlight >= this.#plan.chunksInFlight) return;
    if (!this.#open) return;
    const ids = this.#givenChunk(start);
    this.#released += ids.length;
    this.#inFlight++;
    this.#inPrelude = true;
    this.#enterPrelude(start, ids);
  }

  /** Ids of the chunk that begins at `start`: rows of the prompt, rows that leave after equal passes, or the last row. */
  #givenChunk(start: number): readonly number[] {
    const { promptIds, emitted } = this.#spec;
    const rowsMax = this.#plan.chunkRows;
    if (start < this.#promptRows) return promptIds.slice(start, start + rowsMax);
    const first = start - this.#promptRows;
    if (start === this.#lastGiven) return [emitted[first]!.id];
    // The row of token i gave token i + 1, which says how many passes it spent.
    const { passes } = emitted[first + 1]!;
    let end = first + 1;
    while (end < emitted.length - 1 && end - first < rowsMax && emitted[end + 1]!.passes === passes) end++;
    return emitted.slice(first, end).map(({ id }) => id);
  }

  #enterPrelude(start: number, ids: readonly number[]): void {
    this.#hooks.ready({
      tenant: this,
      phase: 'prelude',
      passes: 0,
      start,
      rows: ids.length,
      input: Int32Array.from(ids),
      survival: 1,
      wantLogits: false,
      owed: 0,
    });
  }

  #promptLogprob(row: HeadRow, id: number): PromptLogprobsEvent['tokens'][number] {
    const logprob = logprobOf(row, id);
    if (logprob === undefined) throw new RondoError('INTERNAL', `no logit of prompt token ${id} came back`);
    return { id, logprob, top: topLogprobs(row, this.#spec.topLogprobs ?? 0) };
  }

  #sample(chunk: Chunk, row: HeadRow): void {
    const index = this.#output.length;
    const history = { prompt: this.#spec.promptIds, output: this.#output };
    const chosen = sample(row, this.#spec.sampling, history, index);
    if (chosen === 'needs-logits') {
      const state = inputOf(chunk, chunk.rows - 1).slice();
      this.#hooks.ready({
        ...chunk,
        start: chunk.start + chunk.rows - 1,
        rows: 1,
        input: state,
        wantLogits: true,
      });
      return;
    }
    if (chunk.start >= this.#promptRows) {
      this.#generatedPasses += chunk.passes;
      this.#hooks.spent(chunk.passes);
    }
    this.#output.push(chosen.id);
    this.#tellRuns();
    this.events.push({
      type: 'token',
      epoch: this.route.epoch,
      index,
      ...chosen,
      top: topLogprobs(row, this.#spec.topLogprobs ?? 0),
      passes: chunk.passes,
    });
    if (this.#spec.stopIds.includes(chosen.id)) this.#finish('stop');
    else if (this.#output.length >= this.#plan.tokensMax) this.#finish('length');
    else this.#enterPrelude(this.#promptRows + index, [chosen.id]);
  }

  #tellRuns(): void {
    const told = this.recorder?.take();
    if (told) this.events.push({ type: 'runs', epoch: this.route.epoch, ...told });
  }

  #finish(reason: FinishReason): void {
    this.events.push({
      type: 'finished',
      epoch: this.route.epoch,
      reason,
      promptPasses: this.#promptPasses,
      generatedPasses: this.#generatedPasses,
    });
    this.close();
  }
}

/** Row i of the emitted tokens gave token i + 1, after the passes recorded with that one. */
function replayRule(emitted: GenerateSpec['emitted']): ExitRule | undefined {
  const depths = emitted.slice(1).map(({ passes }) => passes);
  if (depths.length === 0) return undefined;
  // There may be more of them than a call takes arguments.
  const maxDepth = depths.reduce((most, passes) => Math.max(most, passes));
  return { policy: 'replay', threshold: 0, minDepth: 1, maxDepth, depths };
}
