import { add, copyBytes, get, int, loopOver, set } from './code.ts';
import { WasmFunction } from './module.ts';
import { headPageBytes, type KernelShape, slotBytes } from './shape.ts';

/** See `attentionKernel`. */
export function copyFunction(shape: KernelShape): WasmFunction {
  const pageBytes = headPageBytes(shape);
  const fn = new WasmFunction('copy', 4);
  const [from, to] = [fn.parameter(0), fn.parameter(1)];
  const [layers, layerBytes] = [fn.parameter(2), fn.parameter(3)];
  const [layer, head] = [fn.local('i32'), fn.local('i32')];
  fn.body(
    loopOver(layer, int(0), get(layers), 1, [
      loopOver(head, int(0), int(2 * shape.kvHeads * pageBytes), pageBytes, [
        copyBytes(add(get(to), get(head)), add(get(from), get(head)), int(slotBytes(shape))),
      ]),
      set(from, add(get(from), get(layerBytes))),
      set(to, add(get(to), get(layerBytes))),
    ]),
  );
  return fn;
}
