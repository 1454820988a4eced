import { addGathered } from './adapters-gathered.ts';
import { addGrouped } from './adapters-grouped.ts';
import { floatDeltas, type IntegerFactors, integerDeltas } from './adapters-integer.ts';
import { addMasked } from './adapters-masked.ts';
import {
  type AdapterWeights,
  type LayerFactors,
  PACKED,
  type PackedFactors,
  type PackedName,
  targetShape,
} from './adapters-weights.ts';
import { DepthRows } from './depth-rows.ts';
import type { Graph, Value } from './graph.ts';
import { roundRows, type ScaledRows, scaled } from './integer-product.ts';
import type { ModelSpec } from './model-spec.ts';

type FloatFactors = Exclude<PackedFactors, IntegerFactors>;

/**
 * B_{d,t}·A_{d,t}·x for every part t of `factors`, d being the row's depth: [N, out_t] each, added to `outputs` where
 * they are given. x is [N, in].
 */
function addFactors(rows: DepthRows, factors: FloatFactors, x: Value, outputs?: readonly Value[]): Value[] {
  switch (factors.kind) {
    case 'grouped':
      return addGrouped(rows, factors, x, outputs);
    case 'masked':
      return addMasked(rows, factors, x, outputs);
    case 'gathered':
      return addGathered(rows, factors, x, outputs);
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
  readonly #packed: LayerFactors;

  constructor(model: ModelSpec, rows: DepthRows, packed: LayerFactors) {
    this.rows = rows;
    this.#model = model;
    this.#packed = packed;
  }

  /** For a linear whose input is x [N, in] and whose targets' outputs lie side by side in `output` [N, Σ out]. */
  adaptWhole(name: PackedName, x: Value, output: ScaledRows): ScaledRows {
    const factors = this.#packed[name];
    const { graph } = this.rows;
    if (!factors) return output;
    if (factors.kind === 'integer') return this.#addInteger(factors, x, [output])[0]!;
    const whole = scaled(graph, output);
    const targets = PACKED[name];
    if (targets.length === 1) return unscaled(addFactors(this.rows, factors, x, [whole])[0]!);
    if (targetsOf(factors).length === targets.length) {
      return unscaled(graph.node('Add', [whole, this.#joined(addFactors(this.rows, factors, x))]));
    }
    return unscaled(this.#joined(this.#addParts(name, factors, x, this.#parts(name, whole))));
  }

  /** The same for the outputs of each target apart. */
  adaptParts(name: PackedName, x: Value, outputs: readonly ScaledRows[]): ScaledRows[] {
    const factors = this.#packed[name];
    if (!factors) return [...outputs];
    if (factors.kind === 'integer') {
      const slots = slotsOf(name, factors);
      const given = slots.map((slot) => outputs[slot]!);
      return replaced(outputs, slots, this.#addInteger(factors, x, given));
    }
    const whole = outputs.map((output) => scaled(this.rows.graph, output));
    return this.#addParts(name, factors, x, whole).map(unscaled);
  }

  #addParts(name: PackedName, factors: FloatFactors, x: Value, outputs: readonly Value[]): Value[] {
    const slots = slotsOf(name, factors);
    const given = slots.map((slot) => outputs[slot]!);
    return replaced(outputs, slots, addFactors(this.rows, factors, x, given));
  }

  /** One output for each of the factors' B. A base of integers shares the factors' rounding of x, and so what rows are scaled by. */
  #addInteger(factors: IntegerFactors, x: Value, outputs: readonly ScaledRows[]): ScaledRows[] {
    const { graph } = this.rows;
    if (!graph.integers) {
      const deltas = floatDeltas(this.rows, factors, x);
      return outputs.map((output, at) => unscaled(graph.node('Add', [scaled(graph, output), deltas[at]!])));
    }
    const { largest: factor } = roundRows(graph, x);
    const deltas = integerDeltas(this.rows, factors, x);
    return outputs.map((output, at) => {
      const rows = deltas[at]!;
      if (output.factor === factor) return { rows: graph.node('Add', [output.rows, rows]), factor };
      return unscaled(graph.node('Add', [scaled(graph, output), scaled(graph, { rows, factor })]));
    });
  }

  #parts(name: PackedName, whole: Value): Value[] {
    const { graph } = this.rows;
    const widths = PACKED[name].map((target) => targetShape(this.#model, target)[0]);
    return graph.nodes('Split', [whole, graph.ints(widths)], widths.length, SIDE_BY_SIDE);
  }

  #joined(parts: readonly Value[]): Value {
    return parts.length === 1 ? parts[0]! : this.rows.graph.node('Concat', parts, SIDE_BY_SIDE);
  }
}

const unscaled = (rows: Value): ScaledRows => ({ rows, factor: undefined });

const SIDE_BY_SIDE = { attributes: { axis: 1 } };

/** Places of the adapted targets among those of a packed linear. */
const slotsOf = (name: PackedName, factors: PackedFactors): number[] =>
  targetsOf(factors).map((target) => (PACKED[name] as readonly string[]).indexOf(target));

function replaced<T>(values: readonly T[], slots: readonly number[], others: readonly T[]): T[] {
  const all = [...values];
  slots.forEach((slot, at) => {
    all[slot] = others[at]!;
  });
  return all;
}
