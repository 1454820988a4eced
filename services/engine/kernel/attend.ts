import {
  add,
  type Code,
  copyBytes,
  divide,
  get,
  ifElse,
  int,
  type Local,
  lessThan,
  load,
  loopOver,
  loopWhile,
  multiply,
  remainder,
  set,
  subtract,
  vector,
} from './code.ts';
import { mix } from './mix.ts';
import { WasmFunction } from './module.ts';
import { pageNumbers } from './page-numbers.ts';
import { type Locals7, type Names, QUERY_BLOCK } from './registers.ts';
import { score } from './score.ts';
import {
  groupOf,
  headPageBytes,
  ITEM_WORDS,
  itemHeadsMax,
  type KernelLayout,
  type KernelShape,
  queriesMax,
  tileBytes,
} from './shape.ts';
import { softmax } from './softmax.ts';

/** Vectors of numbers that are brought near in one turn; every page has a multiple of them. */
const WIDENED = 4;

/** See `attentionKernel`. */
export function attendFunction(shape: KernelShape, layout: KernelLayout): WasmFunction {
  const { heads, kvHeads, headDim, pagePositions, numberBytes } = shape;
  const group = groupOf(shape);
  const headBytes = headDim * 4;
  const [pageBytes, headTileBytes] = [headPageBytes(shape), tileBytes(shape)];
  const fn = new WasmFunction('attend', 3);
  const [item, layer, scratch] = [fn.parameter(0), fn.parameter(1), fn.parameter(2)];
  const i32 = () => fn.local('i32');
  const names: Names = {
    firstRow: i32(),
    rows: i32(),
    queries: i32(),
    firstQuery: i32(),
    endQuery: i32(),
    positions: i32(),
    stride: i32(),
    queryTile: i32(),
    sumTile: i32(),
    inverses: i32(),
    scores: i32(),
  };
  const [kvHead, table, page, pageStart, query, source, at] = fn.locals('i32', 7) as Locals7;
  const [firstHead, itemHeads] = fn.locals('i32', 2) as [Local, Local];
  /** The heads' keys or values of one page, near at hand. */
  const [tilePage, tileEnd] = [i32(), i32()];
  const entry = (index: number): Code =>
    load(multiply(get(item), int(ITEM_WORDS * 4)), layout.items + index * 4);
  /** Queries lie [heads][rows][group]: which row of the item, and which head of the model, the query is. */
  const rowOf = remainder(divide(get(query), int(group)), get(names.rows));
  const headOf = add(
    multiply(add(get(firstHead), divide(get(query), multiply(get(names.rows), int(group)))), int(group)),
    remainder(get(query), int(group)),
  );
  /** Address of the query's head in its row of an array of rows. */
  const ofQuery = (base: number, rowHeads: number): Code =>
    add(
      multiply(add(get(names.firstRow), rowOf), int(rowHeads * headBytes)),
      add(multiply(headOf, int(headBytes)), int(base)),
    );
  const tileRow = (tile: Local): Code => add(get(tile), multiply(get(query), int(headBytes)));
  /** Address of the first head's keys (part 0) or values (part 1) in the page that holds position `at`. */
  const pageAt = (position: Code, part: 0 | 1): Code =>
    add(
      add(load(add(get(table), multiply(divide(position, int(pagePositions)), int(4)))), get(layer)),
      add(multiply(get(firstHead), int(pageBytes)), int(part * kvHeads * pageBytes)),
    );
  /** Brings `itemHeads` heads' part of a page, one behind the other, to the tile. */
  const fetchPage = (part: 0 | 1): Code => {
    const bytes = multiply(get(itemHeads), int(headTileBytes));
    // Copying reads in order and ahead; the work below jumps about and would wait for each line.
    if (numberBytes === 4) return copyBytes(get(tilePage), pageAt(get(pageStart), part), bytes);
    return [
      set(source, pageAt(get(pageStart), part)),
      set(tileEnd, add(get(tilePage), bytes)),
      loopOver(at, get(tilePage), get(tileEnd), WIDENED * 16, [
        Array.from({ length: WIDENED }, (_, four) =>
          vector.store(get(at), pageNumbers(numberBytes).load(get(source), four * 4), four * 16),
        ),
        set(source, add(get(source), int(WIDENED * 4 * numberBytes))),
      ]),
    ];
  };
  /** `body` for the queries of one head and what that head has in one page, for all heads and pages. */
  const overPages = (part: 0 | 1, body: Code): Code =>
    loopOver(pageStart, int(0), get(names.positions), pagePositions, [
      fetchPage(part),
      set(page, get(tilePage)),
      set(names.firstQuery, int(0)),
      loopOver(kvHead, int(0), get(itemHeads), 1, [
        set(names.endQuery, add(get(names.firstQuery), multiply(get(names.rows), int(group)))),
        body,
        set(names.firstQuery, get(names.endQuery)),
        set(page, add(get(page), int(headTileBytes))),
      ]),
    ]);
  fn.body([
    set(names.firstRow, entry(0)),
    set(names.rows, entry(1)),
    set(firstHead, entry(2)),
    set(itemHeads, entry(3)),
    set(table, entry(4)),
    set(names.queries, multiply(multiply(get(names.rows), get(itemHeads)), int(group))),
    set(
      names.positions,
      add(
        load(multiply(subtract(add(get(names.firstRow), entry(1)), int(1)), int(4)), layout.positions),
        int(1),
      ),
    ),
    set(
      names.stride,
      multiply(
        divide(add(get(names.positions), int(pagePositions - 1)), int(pagePositions)),
        int(pagePositions * 4),
      ),
    ),
    set(names.queryTile, get(scratch)),
    set(names.sumTile, add(get(names.queryTile), int(queriesMax(shape) * headBytes))),
    set(names.inverses, add(get(names.sumTile), int(queriesMax(shape) * headBytes))),
    set(tilePage, add(get(names.inverses), int(queriesMax(shape) * 16))),
    set(names.scores, add(get(tilePage), int(itemHeadsMax(shape) * headTileBytes))),
    loopOver(query, int(0), get(names.queries), 1, [
      set(source, ofQuery(layout.qkv, heads + 2 * kvHeads)),
      loopOver(at, int(0), int(headBytes), 16, [
        vector.store(add(tileRow(names.queryTile), get(at)), vector.load(add(get(source), get(at)))),
        vector.store(add(tileRow(names.sumTile), get(at)), vector.floats(0)),
      ]),
    ]),
    overPages(
      0,
      overBlocks(query, names, (block) => score(fn, shape, names, query, page, pageStart, block)),
    ),
    softmax(fn, names, query, group, layout),
    overPages(
      1,
      overBlocks(query, names, (block) => mix(fn, shape, names, query, page, pageStart, block)),
    ),
    loopOver(query, int(0), get(names.queries), 1, [
      set(source, ofQuery(layout.out, heads)),
      loopOver(at, int(0), int(headBytes), 16, [
        vector.store(
          add(get(source), get(at)),
          vector.multiply(
            vector.load(add(tileRow(names.sumTile), get(at))),
            vector.loadSplat(add(get(names.inverses), multiply(get(query), int(4)))),
          ),
        ),
      ]),
    ]),
  ]);
  return fn;
}

/** `body` for blocks of QUERY_BLOCK queries of one head, then for what is left in one smaller block. */
function overBlocks(query: Local, { firstQuery, endQuery }: Names, body: (block: number) => Code): Code {
  const left = subtract(get(endQuery), get(query));
  const remaining = (block: number): Code =>
    block === 0 ? [] : ifElse(lessThan(left, int(block)), remaining(block - 1), body(block));
  return [
    set(query, get(firstQuery)),
    loopWhile(lessThan(int(QUERY_BLOCK - 1), left), [
      body(QUERY_BLOCK),
      set(query, add(get(query), int(QUERY_BLOCK))),
    ]),
    remaining(QUERY_BLOCK - 1),
  ];
}
