import type { ModelSpec } from './checkpoint.ts';
import { Graph, type Value } from './graph.ts';

/**
 * pool [slots, headDim], rows [M, headDim], slots [M, 1] → pool_out: the pool with the rows at their slots, for engines whose
 * pages stay on a device between runs.
 */
export function kvStoreGraph({ headDim }: ModelSpec): Uint8Array {
  const graph = new Graph('kv-store');
  const pool = poolOf(graph, headDim);
  putPool(graph, pool, graph.input('rows', 'float32', ['M', headDim]), headDim);
  return graph.encode();
}

/** pool [slots, headDim], from [M], slots [M, 1] → pool_out: the pool with what lies at `from` at the slots as well. */
export function kvCopyGraph({ headDim }: ModelSpec): Uint8Array {
  const graph = new Graph('kv-copy');
  const pool = poolOf(graph, headDim);
  putPool(graph, pool, graph.node('Gather', [pool, graph.input('from', 'int64', ['M'])]), headDim);
  return graph.encode();
}

const poolOf = (graph: Graph, headDim: number): Value =>
  graph.input('pool', 'float32', ['pool_slots', headDim]);

function putPool(graph: Graph, pool: Value, rows: Value, headDim: number): void {
  const slots = graph.input('slots', 'int64', ['M', 1]);
  graph.output('pool_out', graph.node('ScatterND', [pool, slots, rows]), 'float32', ['pool_slots', headDim]);
}
