import { type Code, get, type Local, set, vector } from './code.ts';

/** Every lane becomes the fold of all four. */
export const everyLane = (value: Local, fold: (left: Code, right: Code) => Code): Code => [
  set(value, fold(get(value), vector.shuffle(get(value), get(value), [1, 0, 3, 2]))),
  set(value, fold(get(value), vector.shuffle(get(value), get(value), [2, 3, 0, 1]))),
];

/** One float of the four lanes of `value`. */
export const acrossLanes = (value: Local, fold: (left: Code, right: Code) => Code): Code =>
  fold(
    fold(vector.lane(get(value), 0), vector.lane(get(value), 1)),
    fold(vector.lane(get(value), 2), vector.lane(get(value), 3)),
  );
