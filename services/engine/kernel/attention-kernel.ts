import { attendFunction } from './attend.ts';
import { copyFunction } from './copy.ts';
import { type WasmFunction, wasmModule } from './module.ts';
import { placeFunction } from './place.ts';
import type { KernelLayout, KernelShape } from './shape.ts';

/**
 * Functions over the pages of one stack, generated for a model's shape:
 * `place(item, layer, scratch)` rotates queries and keys of an item's rows in place (Su et al. 2021, eq. 34, half-split
 * layout), scales queries by 1/√headDim and writes keys and values to their pages; `placeKeys` does so for rows
 * [2 · kvHeads, headDim] without queries;
 * `attend(item, layer, scratch)` is softmax(q·Kᵀ)·V of one item over positions 0…its row's own, page by page where they
 * lie, nothing gathered; `copy(from, to, slot, slots, layers, layerBytes)` copies neighbouring slots of all layers of a page. `layer` is the byte offset from
 * a page's first layer.
 * `others` go into the same module.
 * A sum is taken in the same order whatever else runs: a row's result does not depend on its batch.
 */
export function attentionKernel(
  shape: KernelShape,
  layout: KernelLayout,
  others: readonly WasmFunction[] = [],
): Uint8Array<ArrayBuffer> {
  const functions = [
    placeFunction('place', shape, layout),
    placeFunction('placeKeys', { ...shape, heads: 0 }, layout),
    attendFunction(shape, layout),
    copyFunction(shape),
    ...others,
  ];
  return wasmModule(functions, layout.memoryPages);
}
