import { Tensor } from 'onnxruntime-node';
import type { HeadBatch, StackBatch } from './engine.ts';
import { type GraphStates, type LeftStates, pad, paddedRows } from './graph-states.ts';
import { Int64Feed } from './int64-feed.ts';
import { openGraph, type Session, type SessionOptions } from './session.ts';
import { type SmallNode, type SmallValue, smallGraph } from './small-graph.ts';

/** What names of nodes begin with that must run where the states lie. */
export const STATES_NODE = 'states_';

const states = (name: string, rows: string): SmallValue => ({
  name,
  type: 'float32',
  dims: [rows, 'hidden'],
});
const indices = (name: string, ...dims: string[]): SmallValue => ({ name, type: 'int64', dims });
const node = (op: string, name: string, inputs: readonly string[], axis?: number): SmallNode => ({
  ...{ op, name: `${STATES_NODE}${name}`, inputs },
  ...(axis !== undefined && { axis }),
});

/** rows [R, hidden], index [M] → [M, hidden] */
const PICK = smallGraph(
  'states-pick',
  [node('Gather', 'picked', ['rows', 'index'])],
  [states('rows', 'R'), indices('index', 'M')],
  states('states_picked', 'M'),
);

/** rows [R, hidden], more [H, hidden], index [M] into both, one behind the other → [M, hidden] */
const MIX = smallGraph(
  'states-mix',
  [node('Concat', 'both', ['rows', 'more'], 0), node('Gather', 'picked', ['states_both', 'index'])],
  [states('rows', 'R'), states('more', 'H'), indices('index', 'M')],
  states('states_picked', 'M'),
);

/** pool [R, hidden], stay [S], rows [N, hidden], index [M], slots [M, 1] → [S, hidden]: what stays, and the rows picked at their slots */
const KEEP = smallGraph(
  'states-keep',
  [
    node('Gather', 'stay', ['pool', 'stay']),
    node('Gather', 'new', ['rows', 'index']),
    node('ScatterND', 'kept', ['states_stay', 'slots', 'states_new']),
  ],
  [
    ...[states('pool', 'R'), indices('stay', 'S'), states('rows', 'N')],
    ...[indices('index', 'M'), indices('slots', 'M', 'one')],
  ],
  states('states_kept', 'S'),
);

/**
 * States in the memory of the device, in slots that the batches name. Each next pool is made of the last one, with no more slots
 * than are in use: a run copies what lies there once, and not what could. (ADR 34)
 */
export class DeviceStates implements GraphStates {
  readonly #hidden: number;
  #pool: Tensor;
  readonly #pick: Session;
  readonly #mix: Session;
  readonly #keep: Session;
  readonly #bring: Session;
  readonly #feeds = { index: new Int64Feed(), stay: new Int64Feed(), slots: new Int64Feed() };

  constructor(hidden: number, options: SessionOptions) {
    this.#hidden = hidden;
    this.#pool = new Tensor('float32', new Float32Array(hidden), [1, hidden]);
    const open = (graph: Uint8Array, stays?: string) =>
      openGraph(graph, options, stays === undefined ? undefined : { [stays]: 'gpu-buffer' });
    this.#pick = open(PICK, 'states_picked');
    this.#mix = open(MIX, 'states_picked');
    this.#keep = open(KEEP, 'states_kept');
    this.#bring = open(PICK);
  }

  enter(batch: StackBatch, padded: number): Tensor {
    const { input, places, starts } = batch;
    const count = starts.length * padded;
    if (!places?.from.some((slot) => slot >= 0)) {
      const values = pad(batch, new Float32Array(count * this.#hidden), this.#hidden, padded);
      return new Tensor('float32', values, [count, this.#hidden]);
    }
    // Rows that only pad a chunk are those of slot 0: nobody sees what becomes of them.
    const from = new Int32Array(count);
    paddedRows(batch, padded).forEach((at, row) => {
      from[at] = places.from[row]!;
    });
    return this.#gathered(from, input as Float32Array);
  }

  /** [N, hidden] for the head. */
  forHead({ state, slots }: HeadBatch): Tensor {
    if (slots?.some((slot) => slot >= 0)) return this.#gathered(slots, state);
    return new Tensor('float32', state, [state.length / this.#hidden, this.#hidden]);
  }

  leave(batch: StackBatch, padded: number, out: Tensor): LeftStates {
    const { places, head } = batch;
    const rows = paddedRows(batch, padded);
    const kept: number[] = [];
    const home: number[] = [];
    rows.forEach((_, row) => {
      ((places?.to[row] ?? -1) >= 0 ? kept : home).push(row);
    });
    const lieAt = (picked: readonly number[]) => Int32Array.from(picked, (row) => rows[row]!);
    if (kept.length > 0) {
      const slots = Int32Array.from(kept, (row) => places!.to[row]!);
      this.#store(out, lieAt(kept), slots, places!.slots);
    }
    const forHead = head && this.#picked(this.#pick, out, lieAt(head.rows));
    const state =
      home.length > 0
        ? (this.#picked(this.#bring, out, lieAt(home)).data as Float32Array)
        : new Float32Array(0);
    out.dispose();
    return { state, ...(forHead && { forHead }) };
  }

  release(): void {
    dispose(this.#pool);
    for (const session of [this.#pick, this.#mix, this.#keep, this.#bring]) session.release();
  }

  /** Row i from slot `from[i]`, or, where that is negative, the next one of `host`. */
  #gathered(from: Int32Array, host: Float32Array): Tensor {
    if (host.length === 0) return this.#picked(this.#pick, this.#pool, from);
    const [slots] = this.#pool.dims as [number];
    let next = slots;
    const index = from.map((slot) => (slot >= 0 ? slot : next++));
    const more = new Tensor('float32', host, [host.length / this.#hidden, this.#hidden]);
    const feeds = { rows: this.#pool, more, index: this.#feeds.index.tensor(index, [index.length]) };
    return this.#mix.run(feeds).states_picked!;
  }

  #picked(session: Session, rows: Tensor, index: Int32Array): Tensor {
    return session.run({ rows, index: this.#feeds.index.tensor(index, [index.length]) }).states_picked!;
  }

  #store(rows: Tensor, index: Int32Array, slots: Int32Array, count: number): void {
    const [before] = this.#pool.dims as [number];
    const stay = Int32Array.from({ length: count }, (_, slot) => (slot < before ? slot : 0));
    const { states_kept: next } = this.#keep.run({
      pool: this.#pool,
      stay: this.#feeds.stay.tensor(stay, [count]),
      rows,
      index: this.#feeds.index.tensor(index, [index.length]),
      slots: this.#feeds.slots.tensor(slots, [slots.length, 1]),
    });
    dispose(this.#pool);
    this.#pool = next!;
  }
}

/** Memory of the device is nobody's to collect. */
export function dispose(tensor: Tensor): void {
  if (tensor.location === 'gpu-buffer') tensor.dispose();
}
