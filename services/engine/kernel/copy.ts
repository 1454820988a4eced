import { add, copyBytes, get, int, loopOver, set } from './code.ts';
import { WasmFunction } from './module.ts';
import type { KernelShape } from './shape.ts';

/** See `attentionKernel`. */
export function copyFunction({ kvHeads, headDim, pagePositions }: KernelShape): WasmFunction {
  const headBytes = headDim * 4;
  const headPageBytes = pagePositions * headBytes;
  const fn = new WasmFunction('copy', 4);
  const [from, to] = [fn.parameter(0), fn.parameter(1)];
  const [layers, layerBytes] = [fn.parameter(2), fn.parameter(3)];
  const [layer, head] = [fn.local('i32'), fn.local('i32')];
  fn.body(
    loopOver(layer, int(0), get(layers), 1, [
      loopOver(head, int(0), int(2 * kvHeads * headPageBytes), headPageBytes, [
        copyBytes(add(get(to), get(head)), add(get(from), get(head)), int(headBytes)),
      ]),
      set(from, add(get(from), get(layerBytes))),
      set(to, add(get(to), get(layerBytes))),
    ]),
  );
  return fn;
}
