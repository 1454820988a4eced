import { add, type Code, copyBytes, get, int, type Local, loopOver, multiply, set } from './code.ts';
import { WasmFunction } from './module.ts';
import { pageNumbers } from './page-numbers.ts';
import { headPageBytes, type KernelShape, slotBytes } from './shape.ts';

/** See `attentionKernel`. */
export function copyFunction(shape: KernelShape): WasmFunction {
  const { kvHeads, pagePositions, numberBytes } = shape;
  const pageBytes = headPageBytes(shape);
  const fn = new WasmFunction('copy', 6);
  const [from, to, slot, slots] = [fn.parameter(0), fn.parameter(1), fn.parameter(2), fn.parameter(3)];
  const [layers, layerBytes] = [fn.parameter(4), fn.parameter(5)];
  const [layer, at, end, number] = fn.locals('i32', 4) as [Local, Local, Local, Local];
  const keysBytes = kvHeads * pageBytes;
  const [key, value] = [
    multiply(get(slot), int(numberBytes)),
    add(multiply(get(slot), int(slotBytes(shape))), int(keysBytes)),
  ];
  const of = (page: Local): Code => add(get(page), get(at));
  fn.body(
    loopOver(layer, int(0), get(layers), 1, [
      set(end, add(key, int(keysBytes))),
      loopOver(
        at,
        key,
        get(end),
        pagePositions * numberBytes,
        loopOver(
          number,
          int(0),
          multiply(get(slots), int(numberBytes)),
          numberBytes,
          pageNumbers(numberBytes).move(add(of(to), get(number)), add(of(from), get(number))),
        ),
      ),
      set(end, add(value, int(keysBytes))),
      loopOver(
        at,
        value,
        get(end),
        pageBytes,
        copyBytes(of(to), of(from), multiply(get(slots), int(slotBytes(shape)))),
      ),
      set(from, add(get(from), get(layerBytes))),
      set(to, add(get(to), get(layerBytes))),
    ]),
  );
  return fn;
}
