import { addGathered } from './adapters-gathered.ts';
import { addGrouped } from './adapters-grouped.ts';
import { addInteger } from './adapters-integer.ts';
import { addMasked } from './adapters-masked.ts';
import {
  type AdapterWeights,
  PACKED,
  type PackedFactors,
  type PackedName,
  targetShape,
} from './adapters-weights.ts';
import { DepthRows } from './depth-rows.ts';
import type { Graph, Value } from './graph.ts';
import type { ModelSpec } from './model-spec.ts';

/**
 * B_{d,t}·A_{d,t}·x for every part t of `factors`, d being the row's depth: [N, out_t] each, added to `outputs` where
 * they are given. x is [N, in].
 */
function addFactors(rows: DepthRows, factors: PackedFactors, x: Value, outputs?: readonly Value[]): Value[] {
  switch (factors.kind) {
    case 'grouped':
      return addGrouped(rows, factors, x, outputs);
    case 'masked':
      return addMasked(rows, factors, x, outputs);
    case 'gathered':
      return addGathered(rows, factors, x, outputs);
    case 'integer':
      return addInteger(rows, factors, x, outputs);
  }
}

/** Targets that `factors` adapt, in the order of their parts. */
const targetsOf = (factors: PackedFactors) =>
  (factors.kind === 'grouped' ? factors.depths[0]!.parts : factors.parts).map(({ target }) => target);

/**
 * What depths of a block differ in, in one of its graphs: factors, if there are any, and vectors. The graph gets the input
 * depth_rows [D]: how many of its rows run each depth. Rows lie in order of depth. (Relaxed Recursive Transformers, Bae et al. 2024, eq. 3–5)
 */
export class Adapters {
  readonly #model: ModelSpec;
  readonly #weights: AdapterWeights | undefined;
  readonly #rows: DepthRows;

  constructor(graph: Graph, model: ModelSpec, depths: number, weights?: AdapterWeights) {
    this.#model = model;
    this.#weights = weights;
    this.#rows = new DepthRows(graph, depths);
  }

  /** What adapts the linears of layer `layer`. */
  ofLayer(layer: number): LayerAdapters {
    return new LayerAdapters(this.#model, this.#rows, this.#weights?.layers.get(layer) ?? {});
  }
}

/** Adds to the outputs of a layer's linears what each row's depth adds to them; leaves alone what is not adapted. */
export class LayerAdapters {
  readonly rows: DepthRows;
  readonly #model: ModelSpec;
  readonly #packed: Readonly<Partial<Record<PackedName, PackedFactors>>>;

  constructor(
    model: ModelSpec,
    rows: DepthRows,
    packed: Readonly<Partial<Record<PackedName, PackedFactors>>>,
  ) {
    this.rows = rows;
    this.#model = model;
    this.#packed = packed;
  }

  /** For a linear whose input is x [N, in] and whose targets' outputs lie side by side in `output` [N, Σ out]. */
  adaptWhole(name: PackedName, x: Value, output: Value): Value {
    const factors = this.#packed[name];
    if (!factors) return output;
    const { graph } = this.rows;
    const targets = PACKED[name];
    if (targets.length === 1) return addFactors(this.rows, factors, x, [output])[0]!;
    const axis = { attributes: { axis: 1 } };
    if (targetsOf(factors).length === targets.length) {
      return graph.node('Add', [output, graph.node('Concat', addFactors(this.rows, factors, x), axis)]);
    }
    const widths = targets.map((target) => targetShape(this.#model, target)[0]);
    const parts = graph.nodes('Split', [output, graph.ints(widths)], widths.length, axis);
    return graph.node('Concat', this.adaptParts(name, x, parts), axis);
  }

  /** For a linear whose input is x [N, in]; `outputs` are [N, out] of each of its targets, in `PACKED`'s order. */
  adaptParts(name: PackedName, x: Value, outputs: readonly Value[]): Value[] {
    const adapted = [...outputs];
    const factors = this.#packed[name];
    if (!factors) return adapted;
    const slots = targetsOf(factors).map((target) => (PACKED[name] as readonly string[]).indexOf(target));
    const added = addFactors(
      this.rows,
      factors,
      x,
      slots.map((slot) => outputs[slot]!),
    );
    slots.forEach((slot, part) => {
      adapted[slot] = added[part]!;
    });
    return adapted;
  }
}
