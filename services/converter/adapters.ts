import { addGathered } from './adapters-gathered.ts';
import { addGrouped } from './adapters-grouped.ts';
import { addMasked } from './adapters-masked.ts';
import {
  type AdapterMethod,
  type AdapterWeights,
  PACKED,
  type PackedFactors,
  type PackedName,
} from './adapters-weights.ts';
import { DepthRows } from './depth-rows.ts';
import type { Graph, Value } from './graph.ts';

/**
 * Adds to the outputs of a packed linear what each row's depth adds to them. `x` [N, in] is the linear's input,
 * `outputs` are [N, out] of each of its targets, in `PACKED`'s order; returns the same for adapted targets.
 */
export type Adapt = (packed: PackedName, x: Value, outputs: readonly Value[]) => Value[];

/** One way to do so: y_t + B_{d,t}·A_{d,t}·x for every part t of `factors`, d the row's depth. */
export type AddFactors = (
  rows: DepthRows,
  factors: PackedFactors,
  x: Value,
  outputs: readonly Value[],
) => Value[];

const METHODS: Readonly<Record<AdapterMethod, AddFactors>> = {
  grouped: addGrouped,
  masked: addMasked,
  gathered: addGathered,
};

/**
 * The adapters of a block's graph, which gets the input depth_rows [D]: how many of its rows run each depth. Rows lie in
 * order of depth. (Relaxed Recursive Transformers, Bae et al. 2024, eq. 3–5)
 */
export class Adapters {
  readonly #weights: AdapterWeights;
  readonly #rows: DepthRows;

  constructor(graph: Graph, weights: AdapterWeights) {
    this.#weights = weights;
    this.#rows = new DepthRows(graph, weights.depths);
  }

  /** What adapts the linears of source layer `layer`. */
  ofLayer(layer: number): Adapt {
    const add = METHODS[this.#weights.method];
    const packed = this.#weights.layers.get(layer)!;
    return (name, x, outputs) => {
      const factors = packed[name];
      if (!factors) return [...outputs];
      const slots = factors.parts.map(({ target }) => (PACKED[name] as readonly string[]).indexOf(target));
      const added = add(
        this.#rows,
        factors,
        x,
        slots.map((slot) => outputs[slot]!),
      );
      const adapted = [...outputs];
      slots.forEach((slot, part) => {
        adapted[slot] = added[part]!;
      });
      return adapted;
    };
  }
}
