import { type Code, get, integers, type Local, vector } from './code.ts';

/** Bytes of a number of K and V in a page: f32, or bfloat16, the upper half of one. */
export type NumberBytes = 2 | 4;

/** How four numbers get into pages and out of them; `offset` counts numbers. */
export interface PageNumbers {
  load(address: Code, offset?: number): Code;
  store(address: Code, four: Local, offset?: number): Code;
}

export const pageNumbers = (bytes: NumberBytes): PageNumbers => (bytes === 4 ? FLOATS : BRAIN_FLOATS);

const FLOATS: PageNumbers = {
  load: (address, offset = 0) => vector.load(address, offset * 4),
  store: (address, four, offset = 0) => vector.store(address, get(four), offset * 4),
};

/** Out by one shift; in rounded to the nearest, of two as near to the even one. NaN as V8 and Node write it stays NaN. */
const BRAIN_FLOATS: PageNumbers = {
  load: (address, offset = 0) => vector.shiftLeft(integers.loadShorts(address, offset * 2), 16),
  store: (address, four, offset = 0) => {
    const odd = integers.and(integers.shiftRight(get(four), 16), vector.ints(1));
    const rounded = vector.addInts(vector.addInts(get(four), vector.ints(0x7fff)), odd);
    const halves = integers.shiftRight(rounded, 16);
    return integers.storeLow(address, integers.narrowToUnsignedShorts(halves, halves), offset * 2);
  },
};
