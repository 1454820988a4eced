import { type Code, get, type Local, vector } from './code.ts';

/** One float of the four lanes of `value`. */
export const acrossLanes = (value: Local, fold: (left: Code, right: Code) => Code): Code =>
  fold(
    fold(vector.lane(get(value), 0), vector.lane(get(value), 1)),
    fold(vector.lane(get(value), 2), vector.lane(get(value), 3)),
  );
