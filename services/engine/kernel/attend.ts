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
import type { Locals7, Names } from './locals.ts';
import { WasmFunction } from './module.ts';
import { pageNumbers } from './page-numbers.ts';
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
import { QUERY_BLOCK, weightedRows } from './weighted-rows.ts';

/** Vectors of numbers that are brought near in one turn; every page has a multiple of them. */
const WIDENED = 4;

/** See `attentionKernel`. */
export function attendFunction(shape: KernelShape, layout: KernelLayout): WasmFunction {
  const { heads, kvHeads, headDim, pagePositions, numberBytes, registerVectors } = shape;
  const group = groupOf(shape);
  const headBytes = headDim * 4;
  const scoresBytes = pagePositions * 4;
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
    queryTile: i32(),
    sumTile: i32(),
    inverses: i32(),
    scores: i32(),
    scoresEnd: i32(),
    scoresPage: i32(),
  };
  const [kvHead, table, page, pageStart, query, source, at] = fn.locals('i32', 7) as Locals7;
  const [firstHead, itemHeads] = fn.locals('i32', 2) as [Local, Local];
  /** The heads' keys or values of one page, near at hand. */
  const [tilePage, tileEnd] = [i32(), i32()];
  /** Of the query at hand: its row of `queryTile` or `sumTile`, its scores of the page at hand, and that page's first ones. */
  const [tileRow, scoresRow, pageScores] = fn.locals('i32', 3) as [Local, Local, Local];
  /** What the item's last row sees of the page at hand: bytes of scores. */
  const seenBytes = i32();
  const widened = fn.locals('v128', WIDENED);
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
  const rowOfTile = (tile: Local): Code => add(get(tile), multiply(get(query), int(headBytes)));
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
        widened.map((four, index) => set(four, pageNumbers(numberBytes).load(get(source), index * 4))),
        widened.map((four, index) => vector.store(get(at), get(four), index * 16)),
        set(source, add(get(source), int(WIDENED * 4 * numberBytes))),
      ]),
    ];
  };
  /** `body` for the queries of one head and what that head has in one page, for all heads and pages. */
  const overPages = (part: 0 | 1, body: Code): Code => [
    set(pageScores, get(names.scores)),
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
      set(pageScores, add(get(pageScores), get(names.scoresPage))),
    ]),
  ];
  const ofBlock = (tile: Local): Code => [
    set(tileRow, rowOfTile(tile)),
    set(scoresRow, add(get(pageScores), multiply(get(query), int(scoresBytes)))),
  ];
  /** Scores of `block` queries against a page's keys, which lie [headDim, pagePositions]. */
  const score = (block: number): Code => [
    ofBlock(names.queryTile),
    weightedRows(fn, block, registerVectors, {
      ...{ matrix: page, columns: pagePositions },
      ...{ weights: tileRow, weightsStride: headBytes, weightsBytes: int(headBytes) },
      ...{ sums: scoresRow, sumsStride: scoresBytes, onward: false },
    }),
  ];
  /** Adds a page's values, weighted, to the sums of `block` queries. */
  const mix = (block: number): Code => [
    ofBlock(names.sumTile),
    weightedRows(fn, block, registerVectors, {
      ...{ matrix: page, columns: headDim },
      ...{ weights: scoresRow, weightsStride: scoresBytes, weightsBytes: get(seenBytes) },
      ...{ sums: tileRow, sumsStride: headBytes, onward: true },
    }),
  ];
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
    set(names.scoresPage, multiply(get(names.queries), int(scoresBytes))),
    set(names.queryTile, get(scratch)),
    set(names.sumTile, add(get(names.queryTile), int(queriesMax(shape) * headBytes))),
    set(names.inverses, add(get(names.sumTile), int(queriesMax(shape) * headBytes))),
    set(tilePage, add(get(names.inverses), int(queriesMax(shape) * 16))),
    set(names.scores, add(get(tilePage), int(itemHeadsMax(shape) * headTileBytes))),
    set(
      names.scoresEnd,
      add(
        get(names.scores),
        multiply(
          divide(add(get(names.positions), int(pagePositions - 1)), int(pagePositions)),
          get(names.scoresPage),
        ),
      ),
    ),
    loopOver(query, int(0), get(names.queries), 1, [
      set(source, ofQuery(layout.qkv, heads + 2 * kvHeads)),
      loopOver(at, int(0), int(headBytes), 16, [
        vector.store(add(rowOfTile(names.queryTile), get(at)), vector.load(add(get(source), get(at)))),
        vector.store(add(rowOfTile(names.sumTile), get(at)), vector.floats(0)),
      ]),
    ]),
    overPages(0, overBlocks(query, names, score)),
    softmax(fn, shape, names, query, layout),
    overPages(1, [
      // Slots behind the item's last position may hold anything: they are not read.
      set(seenBytes, multiply(subtract(get(names.positions), get(pageStart)), int(4))),
      ifElse(lessThan(int(scoresBytes), get(seenBytes)), set(seenBytes, int(scoresBytes))),
      overBlocks(query, names, mix),
    ]),
    loopOver(query, int(0), get(names.queries), 1, [
      set(source, ofQuery(layout.out, heads)),
      loopOver(at, int(0), int(headBytes), 16, [
        vector.store(
          add(get(source), get(at)),
          vector.multiply(
            vector.load(add(rowOfTile(names.sumTile), get(at))),
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
