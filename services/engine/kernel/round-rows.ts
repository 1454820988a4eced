import { get, type Local, set } from './code.ts';
import { fieldOf } from './description.ts';
import { MATRIX, roundedOf, sourceOf } from './matrix.ts';
import type { RoundingOf } from './round.ts';
import { RoundedRow } from './rounded-row.ts';

/** Rows of blocks · 16 floats become signed bytes by their own largest value. A row of zeros becomes zeros. */
export const roundRows =
  (by: 'divisions' | 'multiplication'): RoundingOf =>
  (fn, matrix, row) => {
    const [source, target] = fn.locals('i32', 2) as [Local, Local];
    const rounded = new RoundedRow(fn, by);
    const blocks = fieldOf(matrix)(MATRIX.blocks);
    return {
      constants: [],
      ofRow: [
        set(source, sourceOf(matrix, row)),
        set(target, roundedOf(matrix, row)),
        rounded.findLargest(get(source), blocks),
        rounded.round(get(source), target, blocks),
      ],
    };
  };
