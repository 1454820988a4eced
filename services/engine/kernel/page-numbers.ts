import {
  type Code,
  get,
  integers,
  type Local,
  load,
  loadShort,
  set,
  store,
  storeShort,
  vector,
} from './code.ts';

/** Bytes of a number of K and V in a page: f32, or bfloat16, the upper half of one. */
export type NumberBytes = 2 | 4;

/** How numbers get into pages and out of them; `offset` counts numbers. */
export interface PageNumbers {
  /** Four floats. */
  load(address: Code, offset?: number): Code;
  /** Four floats become numbers side by side, or numbers `apart` from each other; they are lost. */
  store(address: Code, four: Local, offset?: number): Code;
  storeApart(address: Code, four: Local, apart: number): Code;
  /** One number as it is. */
  move(to: Code, from: Code): Code;
}

export const pageNumbers = (bytes: NumberBytes): PageNumbers => (bytes === 4 ? FLOATS : BRAIN_FLOATS);

const LANES = [0, 1, 2, 3];

const FLOATS: PageNumbers = {
  load: (address, offset = 0) => vector.load(address, offset * 4),
  store: (address, four, offset = 0) => vector.store(address, get(four), offset * 4),
  storeApart: (address, four, apart) =>
    LANES.map((lane) => integers.storeWord(address, get(four), lane, lane * apart * 4)),
  move: (to, from) => store(to, load(from)),
};

/** Out by one shift; in rounded to the nearest, of two as near to the even one. NaN as V8 and Node write it stays NaN. */
const BRAIN_FLOATS: PageNumbers = {
  load: (address, offset = 0) => vector.shiftLeft(integers.loadShorts(address, offset * 2), 16),
  store: (address, four, offset = 0) => [round(four), integers.storeLow(address, get(four), offset * 2)],
  storeApart: (address, four, apart) => [
    round(four),
    LANES.map((lane) => integers.storeShort(address, get(four), lane, lane * apart * 2)),
  ],
  move: (to, from) => storeShort(to, loadShort(from)),
};

/** The lower four shorts become the bfloat16 nearest to the four floats. */
function round(four: Local): Code {
  const odd = integers.and(integers.shiftRight(get(four), 16), vector.ints(1));
  const rounded = vector.addInts(vector.addInts(get(four), vector.ints(0x7fff)), odd);
  return [
    set(four, integers.shiftRight(rounded, 16)),
    set(four, integers.narrowToUnsignedShorts(get(four), get(four))),
  ];
}
