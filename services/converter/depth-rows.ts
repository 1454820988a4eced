import type { Graph, Value } from './graph.ts';

/**
 * Which of a graph's N rows run which of D depths, in the forms that adapters and vectors of each depth need; each is
 * computed once a graph.
 */
export class DepthRows {
  readonly graph: Graph;
  readonly depths: number;
  readonly #groups = new Map<Value, Value[]>();
  readonly #masks = new Map<string, Value>();
  #counts: Value | undefined;
  #depthOfRow: Value | undefined;

  constructor(graph: Graph, depths: number) {
    this.graph = graph;
    this.depths = depths;
  }

  /** Input [D]: rows at each depth; they lie in order of depth. */
  get counts(): Value {
    this.#counts ??= this.graph.input('depth_rows', 'int64', [this.depths]);
    return this.#counts;
  }

  /** Input [N]: the depth of each row. */
  get depthOfRow(): Value {
    this.#depthOfRow ??= this.graph.input('row_depths', 'int64', ['N']);
    return this.#depthOfRow;
  }

  /** x [N, …] cut into the rows of each depth; some may be empty. */
  groups(x: Value): Value[] {
    const known = this.#groups.get(x);
    if (known) return known;
    const groups = this.graph.nodes('Split', [x, this.counts], this.depths, { attributes: { axis: 0 } });
    this.#groups.set(x, groups);
    return groups;
  }

  /** table [D, …] → [N, …]: for each row what its depth has. */
  ofRow(table: Value): Value {
    return this.graph.node('Gather', [table, this.depthOfRow]);
  }

  /**
   * [N, Σ widths]: `value` in the columns of the row's depth, else 0. `widths` are, for each of some parts that lie side by side,
   * how many columns each depth has in it.
   */
  mask(widths: readonly (readonly number[])[], value = 1): Value {
    const name = [value, ...widths.map((ofPart) => ofPart.join('_'))].join('__');
    const known = this.#masks.get(name);
    if (known) return known;
    const { graph, depths } = this;
    const depthOfColumn = widths.flatMap((ofPart) =>
      ofPart.flatMap((width, depth) => Array<number>(width).fill(depth)),
    );
    const blocks = Array.from({ length: depths }, (_, depth) =>
      depthOfColumn.map((column) => (column === depth ? value : 0)),
    );
    const table = graph.floats(`depth_mask_${name}`, blocks.flat(), [depths, depthOfColumn.length]);
    const mask = this.ofRow(table);
    this.#masks.set(name, mask);
    return mask;
  }
}
