import { acrossLanes } from './across-lanes.ts';
import { add, get, int, type Local, loopOver, scalar, set, vector } from './code.ts';
import { WasmFunction } from './module.ts';

/**
 * `name(residual, delta, weight, normed, rows)` for rows of `hidden` floats, a multiple of 4: residual += delta, and
 * normed = residual / √(mean of squares + ε) · weight. (Zhang & Sennrich 2019, eq. 4)
 */
export function addNormFunction(name: string, hidden: number, epsilon: number): WasmFunction {
  const fn = new WasmFunction(name, 5);
  const [residual, delta, weight, normed, rows] = [0, 1, 2, 3, 4].map((index) => fn.parameter(index)) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [row, at] = [fn.local('i32'), fn.local('i32')];
  const [value, squares, factor] = fn.locals('v128', 3) as [Local, Local, Local];
  const rowBytes = hidden * 4;
  const place = (start: Local) => add(get(start), get(at));
  fn.body(
    loopOver(row, int(0), get(rows), 1, [
      set(squares, vector.floats(0)),
      loopOver(at, int(0), int(rowBytes), 16, [
        set(value, vector.add(vector.load(place(residual)), vector.load(place(delta)))),
        vector.store(place(residual), get(value)),
        set(squares, vector.multiplyAdd(get(value), get(value), get(squares))),
      ]),
      set(
        factor,
        vector.splat(
          scalar.divide(
            scalar.floats(1),
            scalar.squareRoot(
              scalar.add(
                scalar.divide(acrossLanes(squares, scalar.add), scalar.floats(hidden)),
                scalar.floats(epsilon),
              ),
            ),
          ),
        ),
      ),
      loopOver(at, int(0), int(rowBytes), 16, [
        vector.store(
          place(normed),
          vector.multiply(
            vector.multiply(vector.load(place(residual)), get(factor)),
            vector.load(place(weight)),
          ),
        ),
      ]),
      [residual, delta, normed].map((start) => set(start, add(get(start), int(rowBytes)))),
    ]),
  );
  return fn;
}
