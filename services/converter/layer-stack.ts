import type { Adapters } from './adapters.ts';
import type { ModelSpec } from './checkpoint.ts';
import { type Graph, ORT, type Value } from './graph.ts';
import type { LayerWeights } from './model-weights.ts';
import {
  addAndNorm,
  attentionDelta,
  feedForwardDelta,
  type NormName,
  normOfLayer,
  projectQkv,
} from './sublayers.ts';

/** Added to the score of a key that a query must not see; exp of it is 0 in f32 beside any real score. */
const MASKED = -1e30;

/**
 * The inputs every stack of layers shares. B chunks of T rows; P pages a chunk; N = B·T.
 * kv_pool is the stack's pool as rows of one head's page: [pages · layers · 2 · kvHeads, pagePositions · headDim].
 */
export interface StackInputs {
  /** [N, headDim / 2] of each row's position. Computed outside: a GPU's sine is good to 2⁻¹¹ only (WGSL, §15.7.4). */
  readonly cos: Value;
  readonly sin: Value;
  /** [B] positions whose K/V lie in the pages. */
  readonly pastLengths: Value;
  /** [B, P] */
  readonly pageTable: Value;
  readonly kvPool: Value;
}

export interface StackOptions {
  readonly model: ModelSpec;
  readonly layers: readonly LayerWeights[];
  readonly pagePositions: number;
  /** Where depths differ. */
  readonly adapters?: Adapters | undefined;
}

export function declareStackInputs(graph: Graph, options: StackOptions): StackInputs {
  const { model, pagePositions } = options;
  return {
    cos: graph.input('cos', 'float32', ['N', model.headDim / 2]),
    sin: graph.input('sin', 'float32', ['N', model.headDim / 2]),
    pastLengths: graph.input('past_lengths', 'int64', ['B']),
    pageTable: graph.input('page_table', 'int64', ['B', 'P']),
    kvPool: graph.input('kv_pool', 'float32', ['pool_rows', pagePositions * model.headDim]),
  };
}

/**
 * Runs the layers over `state` [N, hidden] and returns the new state [N, hidden] and the rows' K and V
 * [layers · 2, B, kvHeads, T, headDim], which the caller writes into the pages.
 */
export function layerStack(
  graph: Graph,
  inputs: StackInputs,
  options: StackOptions,
  state: Value,
): { state: Value; newKv: Value } {
  const { model, layers, adapters } = options;
  const attention = new Attention(graph, inputs, options);
  const newKv: Value[] = [];
  let residual = state;
  let delta: Value | undefined;
  const normOfSum = (layer: LayerWeights, norm: NormName): Value => {
    const rows = adapters?.ofLayer(layer.index).rows;
    if (delta === undefined) return normOfLayer(graph, model, layer, norm, residual, rows);
    const { normed, sum } = addAndNorm(graph, model, layer, norm, { residual, delta }, rows);
    residual = sum;
    return normed;
  };
  for (const [slot, layer] of layers.entries()) {
    const own = adapters?.ofLayer(layer.index);
    const normed = normOfSum(layer, 'attentionNorm');
    const attended = attention.apply(projectQkv(graph, model, layer, normed, own), slot);
    newKv.push(attended.key, attended.value);
    delta = attentionDelta(graph, model, layer, attended.output, own);
    const ffnInput = normOfSum(layer, 'ffnNorm');
    delta = feedForwardDelta(graph, model, layer, ffnInput, own);
  }
  const stacked = newKv.map((value) => graph.node('Unsqueeze', [value, graph.ints([0])]));
  return {
    state: delta === undefined ? residual : graph.node('Add', [residual, delta]),
    newKv: graph.node('Concat', stacked, { attributes: { axis: 0 } }),
  };
}

/**
 * Grouped-query attention over pages plus the chunk itself. Past and new keys are scored apart and share one
 * softmax, so that gathered pages are never copied again. What all layers share is built once.
 */
class Attention {
  readonly #graph: Graph;
  readonly #inputs: StackInputs;
  readonly #options: StackOptions;
  readonly #rotaryPositions: Value;
  /** [B, kvHeads, P] row of each (page, head) in the pool for layer 0's keys. */
  readonly #poolRows: Value;
  readonly #pastBias: Value;
  readonly #newBias: Value;
  /** [2] lengths S = P · pagePositions and T, to split probabilities by. */
  readonly #splitLengths: Value;

  constructor(graph: Graph, inputs: StackInputs, options: StackOptions) {
    this.#graph = graph;
    this.#inputs = inputs;
    this.#options = options;
    const { model, layers, pagePositions } = options;
    const scalar = (value: number) => graph.ints([value], []);

    const rows = graph.node('Gather', [graph.node('Shape', [inputs.cos]), scalar(0)]);
    const chunks = graph.node('Gather', [graph.node('Shape', [inputs.pageTable]), graph.ints([0])]);
    const chunkShape = graph.node('Concat', [chunks, graph.ints([-1])], { attributes: { axis: 0 } });
    const range = graph.node('Range', [scalar(0), rows, scalar(1)]);
    this.#rotaryPositions = graph.node('Reshape', [range, chunkShape]);

    const rowsPerPage = layers.length * 2 * model.kvHeads;
    const firstRows = graph.node('Mul', [inputs.pageTable, scalar(rowsPerPage)]);
    const heads = graph.ints(
      Array.from({ length: model.kvHeads }, (_, head) => head),
      [1, model.kvHeads, 1],
    );
    this.#poolRows = graph.node('Add', [graph.node('Unsqueeze', [firstRows, graph.ints([1])]), heads]);

    const pages = graph.node('Gather', [graph.node('Shape', [inputs.pageTable]), scalar(1)]);
    const pastSpan = graph.node('Mul', [pages, scalar(pagePositions)]);
    const newSpan = graph.node('Gather', [graph.node('Shape', [this.#rotaryPositions]), scalar(1)]);
    this.#splitLengths = graph.node(
      'Concat',
      [pastSpan, newSpan].map((length) => graph.reshape(length, [1])),
      { attributes: { axis: 0 } },
    );
    const visible = graph.floats('visible', [0], []);
    const masked = graph.floats('masked', [MASKED], []);
    const pastKeys = graph.node('Range', [scalar(0), pastSpan, scalar(1)]);
    const pastSeen = graph.node('Less', [pastKeys, graph.reshape(inputs.pastLengths, [-1, 1])]);
    const pastBias = graph.node('Where', [pastSeen, visible, masked]);
    this.#pastBias = graph.node('Unsqueeze', [pastBias, graph.ints([1, 2])]);
    const newKeys = graph.node('Range', [scalar(0), newSpan, scalar(1)]);
    const newSeen = graph.node('LessOrEqual', [newKeys, graph.reshape(newKeys, [-1, 1])]);
    const newBias = graph.node('Where', [newSeen, visible, masked]);
    this.#newBias = graph.node('Tile', [newBias, graph.ints([model.heads / model.kvHeads, 1])]);
  }

  /** `slot` is the layer's place in its stack. Output is [N, heads·headDim]; keys and values come back as [B, kvHeads, T, headDim]. */
  apply(qkv: Value, slot: number): { output: Value; key: Value; value: Value } {
    const graph = this.#graph;
    const { heads, kvHeads, headDim } = this.#options.model;
    const groupedHeads = heads + kvHeads;
    const [queryKey, flatValue] = graph.nodes(
      'Split',
      [qkv, graph.ints([groupedHeads * headDim, kvHeads * headDim])],
      2,
      { attributes: { axis: 1 } },
    );
    const rotated = this.#rotate(queryKey!);
    const [query, key] = graph.nodes('Split', [rotated, graph.ints([heads, kvHeads])], 2, {
      attributes: { axis: 1 },
    });
    const value = this.#headsFirst(flatValue!, kvHeads);
    // [B, heads, T, headDim] → [B, kvHeads, group·T, headDim]: the query group becomes rows of one product.
    const grouped = graph.node('Reshape', [query!, graph.ints([0, kvHeads, -1, headDim])]);
    const mixed = this.#attend(grouped, this.#past(slot, 0), this.#past(slot, 1), key!, value);
    const perHead = graph.node('Reshape', [mixed, this.#headShape(heads)]);
    const rows = graph.node('Transpose', [perHead], { attributes: { perm: [0, 2, 1, 3] } });
    return { output: graph.reshape(rows, [-1, heads * headDim]), key: key!, value };
  }

  #attend(query: Value, pastKeys: Value, pastValues: Value, keys: Value, values: Value): Value {
    const graph = this.#graph;
    const scaled = graph.node('Mul', [
      query,
      graph.floats('query_scale', [1 / Math.sqrt(this.#options.model.headDim)], []),
    ]);
    // Not as one FusedMatMul, which the CPU's optimiser makes of it by itself and other providers do not have.
    const score = (against: Value, bias: Value) => {
      const turned = graph.node('Transpose', [against], { attributes: { perm: [0, 1, 3, 2] } });
      return graph.node('Add', [graph.node('MatMul', [scaled, turned]), bias]);
    };
    const scores = graph.node('Concat', [score(pastKeys, this.#pastBias), score(keys, this.#newBias)], {
      attributes: { axis: -1 },
    });
    const probabilities = graph.node('Softmax', [scores], { attributes: { axis: -1 } });
    const [past, current] = graph.nodes('Split', [probabilities, this.#splitLengths], 2, {
      attributes: { axis: -1 },
    });
    return graph.node('Add', [
      graph.node('MatMul', [past!, pastValues]),
      graph.node('MatMul', [current!, values]),
    ]);
  }

  /** Keys (part 0) or values (part 1) of the layer's pages: [B, kvHeads, P·pagePositions, headDim]. */
  #past(slot: number, part: 0 | 1): Value {
    const graph = this.#graph;
    const { kvHeads, headDim } = this.#options.model;
    const offset = graph.ints([(slot * 2 + part) * kvHeads], []);
    const rows = graph.node('Add', [this.#poolRows, offset]);
    const pages = graph.node('Gather', [this.#inputs.kvPool, rows], { attributes: { axis: 0 } });
    return graph.node('Reshape', [pages, graph.ints([0, 0, -1, headDim])]);
  }

  /** Rotary position embedding (Su et al. 2021, eq. 34) in the half-split layout: [B, heads + kvHeads, T, headDim]. */
  #rotate(queryKey: Value): Value {
    const { heads, kvHeads } = this.#options.model;
    const byHead = this.#headsFirst(queryKey, heads + kvHeads);
    return this.#graph.node(
      'RotaryEmbedding',
      [byHead, this.#rotaryPositions, this.#inputs.cos, this.#inputs.sin],
      ORT,
    );
  }

  /** [N, count·headDim] → [B, count, T, headDim] */
  #headsFirst(flat: Value, count: number): Value {
    const graph = this.#graph;
    const shape = graph.node('Shape', [this.#rotaryPositions]);
    const dims = graph.node('Concat', [shape, graph.ints([count, this.#options.model.headDim])], {
      attributes: { axis: 0 },
    });
    const perHead = graph.node('Reshape', [flat, dims]);
    return graph.node('Transpose', [perHead], { attributes: { perm: [0, 2, 1, 3] } });
  }

  /** [4]: 0 (keep B), heads, T, headDim; group and T lie side by side, so regrouping needs T itself. */
  #headShape(heads: number): Value {
    const graph = this.#graph;
    const rows = graph.node('Gather', [graph.node('Shape', [this.#rotaryPositions]), graph.ints([1])]);
    return graph.node('Concat', [graph.ints([0, heads]), rows, graph.ints([this.#options.model.headDim])], {
      attributes: { axis: 0 },
    });
  }
}
