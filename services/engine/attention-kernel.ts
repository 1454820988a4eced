import {
  add,
  type Code,
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
  scalar,
  set,
  subtract,
  vector,
} from './wasm-code.ts';
import { WasmFunction, wasmModule } from './wasm-module.ts';

export interface KernelShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** A multiple of 4. */
  readonly headDim: number;
  /** A multiple of 4. */
  readonly pagePositions: number;
}

/** Byte addresses in the memory that the kernel shares with its owner. */
export interface KernelLayout {
  /** cos and sin of position · frequency: [positions, headDim / 2] f32 each. */
  readonly cos: number;
  readonly sin: number;
  /** [rows] i32: each row's position. */
  readonly positions: number;
  /** [rows] i32: address of the first head's slot of each row in layer 0 of its page. */
  readonly slots: number;
  /** [rows, heads + 2 · kvHeads, headDim] f32: projected queries, keys, values. */
  readonly qkv: number;
  /** [rows, heads, headDim] f32: what attention puts out. */
  readonly out: number;
  /** [items, 4] i32: first row, rows, K/V head, address of the page addresses of the sequence. */
  readonly items: number;
  /** 64 KiB pages of the memory. */
  readonly memoryPages: number;
}

/** Query rows (rows · heads of a group) of one item at most, so that its scores stay in the cache. */
const ITEM_QUERIES = 32;

const groupOf = ({ heads, kvHeads }: KernelShape): number => heads / kvHeads;

/** Rows of one sequence that one item may take together: they share every key and value that is loaded. */
export const itemRowsMax = (shape: KernelShape): number =>
  Math.max(1, Math.floor(ITEM_QUERIES / groupOf(shape)));

/** Floats of private memory an item needs: queries and sums of one tile, inverse totals, and a score per position. */
export const scratchFloats = (shape: KernelShape, positions: number): number =>
  queriesMax(shape) * (2 * shape.headDim + 4 + roundUp(positions, shape.pagePositions));

const queriesMax = (shape: KernelShape): number => itemRowsMax(shape) * groupOf(shape);

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

/** Query rows that share each loaded key or value: with four positions, twelve sums fill the machine's registers. */
const QUERY_BLOCK = 3;
/** Positions, or vectors of values, that one block works on. */
const SPAN = 4;

/**
 * Functions over the pages of one stack, generated for a model's shape:
 * `place(first, end, layer)` rotates queries and keys of rows first…end−1 in place (Su et al. 2021, eq. 34, half-split
 * layout), scales queries by 1/√headDim and writes keys and values to their pages; `placeKeys` does so for rows
 * [2 · kvHeads, headDim] without queries;
 * `attend(item, layer, scratch)` is softmax(q·Kᵀ)·V of one item over positions 0…its row's own, page by page where they
 * lie, nothing gathered. `layer` is the byte offset of the layer within a page.
 * A sum is taken in the same order whatever else runs: a row's result does not depend on its batch.
 */
export function attentionKernel(shape: KernelShape, layout: KernelLayout): Uint8Array<ArrayBuffer> {
  const functions = [
    placeFunction('place', shape, layout),
    placeFunction('placeKeys', { ...shape, heads: 0 }, layout),
    attendFunction(shape, layout),
  ];
  return wasmModule(functions, layout.memoryPages);
}

function placeFunction(name: string, shape: KernelShape, layout: KernelLayout): WasmFunction {
  const { heads, kvHeads, headDim, pagePositions } = shape;
  const headBytes = headDim * 4;
  const half = headBytes / 2;
  const headPageBytes = pagePositions * headBytes;
  const fn = new WasmFunction(name, 3);
  const [first, end, layer] = [fn.parameter(0), fn.parameter(1), fn.parameter(2)];
  const [row, turn, source, slot, target, head, at] = fn.locals('i32', 7) as Locals7;
  /** Halves that do not fill vectors are turned number by number. */
  const lanes = half % 16 === 0 ? vector : scalar;
  const [low, high, cos, sin] = fn.locals(lanes.type, 4) as Locals4;
  const rotate = (scale: number): Code => {
    const scaled = (value: Code) => (scale === 1 ? value : lanes.multiply(value, lanes.floats(scale)));
    const turned = (value: Code, offset: number) =>
      lanes.store(add(get(target), get(at)), scaled(value), offset);
    return loopOver(at, int(0), int(half), lanes.bytes, [
      set(low, lanes.load(add(get(source), get(at)))),
      set(high, lanes.load(add(get(source), get(at)), half)),
      set(cos, lanes.load(add(get(turn), get(at)), layout.cos)),
      set(sin, lanes.load(add(get(turn), get(at)), layout.sin)),
      turned(lanes.subtract(lanes.multiply(get(low), get(cos)), lanes.multiply(get(high), get(sin))), 0),
      turned(lanes.add(lanes.multiply(get(high), get(cos)), lanes.multiply(get(low), get(sin))), half),
    ]);
  };
  const nextHead = set(source, add(get(source), int(headBytes)));
  const nextSlot = set(target, add(get(target), int(headPageBytes)));
  fn.body(
    loopOver(row, get(first), get(end), 1, [
      set(turn, multiply(load(multiply(get(row), int(4)), layout.positions), int(half))),
      set(source, add(multiply(get(row), int((heads + 2 * kvHeads) * headBytes)), int(layout.qkv))),
      set(slot, add(load(multiply(get(row), int(4)), layout.slots), get(layer))),
      loopOver(head, int(0), int(heads), 1, [
        set(target, get(source)),
        rotate(1 / Math.sqrt(headDim)),
        nextHead,
      ]),
      set(target, get(slot)),
      loopOver(head, int(0), int(kvHeads), 1, [rotate(1), nextHead, nextSlot]),
      loopOver(head, int(0), int(kvHeads), 1, [
        loopOver(at, int(0), int(headBytes), 16, [
          vector.store(add(get(target), get(at)), vector.load(add(get(source), get(at)))),
        ]),
        nextHead,
        nextSlot,
      ]),
    ]),
  );
  return fn;
}

type Locals4 = [Local, Local, Local, Local];
type Locals7 = [Local, Local, Local, Local, Local, Local, Local];

/** The locals that the parts of `attend` share. All pages, queries and scores are byte addresses. */
interface Names {
  readonly firstRow: Local;
  readonly queries: Local;
  /** Positions that the item's last row sees. */
  readonly positions: Local;
  /** Bytes from one query's scores to the next one's. */
  readonly stride: Local;
  /** [queries, headDim] scaled queries; sums of values; [queries] 1 / Σ exp, and the scores behind them. */
  readonly queryTile: Local;
  readonly sumTile: Local;
  readonly inverses: Local;
  readonly scores: Local;
}

function attendFunction(shape: KernelShape, layout: KernelLayout): WasmFunction {
  const { heads, kvHeads, headDim, pagePositions } = shape;
  const group = groupOf(shape);
  const headBytes = headDim * 4;
  const headPageBytes = pagePositions * headBytes;
  const fn = new WasmFunction('attend', 3);
  const [item, layer, scratch] = [fn.parameter(0), fn.parameter(1), fn.parameter(2)];
  const i32 = () => fn.local('i32');
  const names: Names = {
    firstRow: i32(),
    queries: i32(),
    positions: i32(),
    stride: i32(),
    queryTile: i32(),
    sumTile: i32(),
    inverses: i32(),
    scores: i32(),
  };
  const [kvHead, table, page, pageStart, query, source, at] = fn.locals('i32', 7) as Locals7;
  const entry = (index: number): Code => load(multiply(get(item), int(16)), layout.items + index * 4);
  /** Address of head `query % group` of the group, in row `query / group` of the item, of an array of rows. */
  const ofQuery = (base: number, rowHeads: number): Code =>
    add(
      multiply(add(get(names.firstRow), divide(get(query), int(group))), int(rowHeads * headBytes)),
      add(
        multiply(add(multiply(get(kvHead), int(group)), remainder(get(query), int(group))), int(headBytes)),
        int(base),
      ),
    );
  const tileRow = (tile: Local): Code => add(get(tile), multiply(get(query), int(headBytes)));
  const overPages = (part: 0 | 1, body: Code): Code =>
    loopOver(pageStart, int(0), get(names.positions), pagePositions, [
      set(
        page,
        add(
          add(
            load(add(get(table), multiply(divide(get(pageStart), int(pagePositions)), int(4)))),
            get(layer),
          ),
          add(multiply(get(kvHead), int(headPageBytes)), int(part * kvHeads * headPageBytes)),
        ),
      ),
      body,
    ]);
  fn.body([
    set(names.firstRow, entry(0)),
    set(names.queries, multiply(entry(1), int(group))),
    set(kvHead, entry(2)),
    set(table, entry(3)),
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
    set(names.scores, add(get(names.inverses), int(queriesMax(shape) * 16))),
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

/** `body` for blocks of QUERY_BLOCK queries, then for what is left in one smaller block. */
function overBlocks(query: Local, { queries }: Names, body: (block: number) => Code): Code {
  const left = subtract(get(queries), get(query));
  const remaining = (block: number): Code =>
    block === 0 ? [] : ifElse(lessThan(left, int(block)), remaining(block - 1), body(block));
  return [
    set(query, int(0)),
    loopWhile(lessThan(int(QUERY_BLOCK - 1), left), [
      body(QUERY_BLOCK),
      set(query, add(get(query), int(QUERY_BLOCK))),
    ]),
    remaining(QUERY_BLOCK - 1),
  ];
}

/** Scores of `block` queries against the keys of a page, SPAN positions at a time. */
function score(
  fn: WasmFunction,
  { headDim, pagePositions }: KernelShape,
  names: Names,
  query: Local,
  page: Local,
  pageStart: Local,
  block: number,
): Code {
  const headBytes = headDim * 4;
  const unroll = [4, 2].find((count) => headDim % (4 * count) === 0) ?? 1;
  const [position, at, from, key] = fn.locals('i32', 4) as Locals4;
  const keys = fn.locals('v128', SPAN);
  const part = fn.local('v128');
  const sums = Array.from({ length: block }, () => fn.locals('v128', SPAN));
  const step = (offset: number): Code => [
    keys.map((local, index) => set(local, vector.load(get(key), index * headBytes + offset))),
    sums.map((row, index) => [
      set(part, vector.load(get(from), index * headBytes + offset)),
      row.map((sum, lane) => set(sum, vector.multiplyAdd(get(part), get(keys[lane]!), get(sum)))),
    ]),
  ];
  const target = add(
    add(get(names.scores), multiply(get(query), get(names.stride))),
    multiply(add(get(pageStart), get(position)), int(4)),
  );
  return loopOver(position, int(0), int(pagePositions), SPAN, [
    sums.flat().map((sum) => set(sum, vector.floats(0))),
    set(key, add(get(page), multiply(get(position), int(headBytes)))),
    set(from, add(get(names.queryTile), multiply(get(query), int(headBytes)))),
    loopOver(at, int(0), int(headBytes), unroll * 16, [
      Array.from({ length: unroll }, (_, index) => step(index * 16)),
      set(key, add(get(key), int(unroll * 16))),
      set(from, add(get(from), int(unroll * 16))),
    ]),
    set(at, target),
    sums.map((row) => [vector.store(get(at), laneSums(row)), set(at, add(get(at), get(names.stride)))]),
  ]);
}

/** [Σ a, Σ b, Σ c, Σ d] of four vectors. */
function laneSums(sums: readonly Local[]): Code {
  const [a, b, c, d] = sums.map((sum) => get(sum)) as [Code, Code, Code, Code];
  const fold = (left: Code, right: Code): Code =>
    vector.add(vector.shuffle(left, right, [0, 4, 1, 5]), vector.shuffle(left, right, [2, 6, 3, 7]));
  const [ab, cd] = [fold(a, b), fold(c, d)];
  return vector.add(vector.shuffle(ab, cd, [0, 1, 4, 5]), vector.shuffle(ab, cd, [2, 3, 6, 7]));
}

/** Scores of each query become exp(score − largest), 0 beyond its row's own position; 1 / Σ goes to `inverses`. */
function softmax(fn: WasmFunction, names: Names, query: Local, group: number, layout: KernelLayout): Code {
  const [row, end, at, bound] = fn.locals('i32', 4) as Locals4;
  const [largest, total, x, n] = fn.locals('v128', 4) as Locals4;
  const across = (value: Local, fold: (left: Code, right: Code) => Code): Code =>
    fold(
      fold(vector.lane(get(value), 0), vector.lane(get(value), 1)),
      fold(vector.lane(get(value), 2), vector.lane(get(value), 3)),
    );
  return loopOver(query, int(0), get(names.queries), 1, [
    set(row, add(get(names.scores), multiply(get(query), get(names.stride)))),
    // One behind the last score that this row sees.
    set(
      end,
      add(
        get(row),
        multiply(
          add(
            load(
              multiply(add(get(names.firstRow), divide(get(query), int(group))), int(4)),
              layout.positions,
            ),
            int(1),
          ),
          int(4),
        ),
      ),
    ),
    set(bound, add(get(row), get(names.stride))),
    loopOver(at, get(end), get(bound), 4, scalar.store(get(at), scalar.floats(Number.NEGATIVE_INFINITY))),
    set(largest, vector.floats(Number.NEGATIVE_INFINITY)),
    loopOver(at, get(row), get(end), 16, set(largest, vector.max(get(largest), vector.load(get(at))))),
    set(largest, vector.splat(across(largest, scalar.max))),
    set(total, vector.floats(0)),
    loopOver(at, get(row), get(bound), 16, [
      set(x, vector.subtract(vector.load(get(at)), get(largest))),
      exponential(x, n),
      vector.store(get(at), get(x)),
      set(total, vector.add(get(total), get(x))),
    ]),
    scalar.store(
      add(get(names.inverses), multiply(get(query), int(4))),
      scalar.divide(scalar.floats(1), across(total, scalar.add)),
    ),
  ]);
}

/** x ← exp(x) for x ≤ 0, within 2 units in the last place; 0 below −87. (Moshier, Cephes 2.8, expf) */
function exponential(x: Local, n: Local): Code {
  const [log2e, ln2High, ln2Low] = [Math.LOG2E, 0.693359375, -2.1219444e-4];
  const coefficients = [
    1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
  ];
  const [leading, ...others] = coefficients as [number, ...number[]];
  const polynomial = others.reduce<Code>(
    (sum, coefficient) => vector.multiplyAdd(sum, get(x), vector.floats(coefficient)),
    vector.floats(leading),
  );
  const power = vector.shiftLeft(vector.addInts(vector.toInts(get(n)), vector.ints(127)), 23);
  const zeroed = (value: Code): Code => vector.andNot(value, vector.lessThan(get(n), vector.floats(-125.5)));
  return [
    set(n, vector.nearest(vector.multiply(get(x), vector.floats(log2e)))),
    set(x, vector.negativeMultiplyAdd(get(n), vector.floats(ln2High), get(x))),
    set(x, vector.negativeMultiplyAdd(get(n), vector.floats(ln2Low), get(x))),
    set(
      x,
      zeroed(
        vector.multiply(
          vector.add(
            vector.multiplyAdd(vector.multiply(get(x), get(x)), polynomial, get(x)),
            vector.floats(1),
          ),
          power,
        ),
      ),
    ),
  ];
}

/** Adds weights · values of a page to the sums of `block` queries, SPAN vectors of the head at a time. */
function mix(
  fn: WasmFunction,
  { headDim, pagePositions }: KernelShape,
  names: Names,
  query: Local,
  page: Local,
  pageStart: Local,
  block: number,
): Code {
  const headBytes = headDim * 4;
  const [at, weight, weightEnd, value] = fn.locals('i32', 4) as Locals4;
  const sum = fn.local('i32');
  const weightOf = fn.locals('i32', block);
  const values = fn.locals('v128', SPAN);
  const splat = fn.local('v128');
  const sums = Array.from({ length: block }, () => fn.locals('v128', SPAN));
  const turn = (width: number): Code => {
    const overSums = (body: (local: Local, offset: number) => Code): Code =>
      sums.map((row, index) =>
        row.slice(0, width).map((local, lane) => body(local, index * headBytes + lane * 16)),
      );
    return [
      set(sum, add(add(get(names.sumTile), multiply(get(query), int(headBytes))), get(at))),
      overSums((local, offset) => set(local, vector.load(get(sum), offset))),
      set(value, add(get(page), get(at))),
      loopOver(weight, int(0), get(weightEnd), 4, [
        values.slice(0, width).map((local, lane) => set(local, vector.load(get(value), lane * 16))),
        sums.map((row, index) => [
          set(splat, vector.loadSplat(add(get(weightOf[index]!), get(weight)))),
          row
            .slice(0, width)
            .map((local, lane) => set(local, vector.multiplyAdd(get(splat), get(values[lane]!), get(local)))),
        ]),
        set(value, add(get(value), int(headBytes))),
      ]),
      overSums((local, offset) => vector.store(get(sum), get(local), offset)),
    ];
  };
  const whole = Math.floor(headDim / 4 / SPAN) * SPAN * 16;
  const rest = (headDim / 4) % SPAN;
  return [
    // Slots behind the item's last position may hold anything: they are not read.
    set(weightEnd, multiply(subtract(get(names.positions), get(pageStart)), int(4))),
    ifElse(lessThan(int(pagePositions * 4), get(weightEnd)), set(weightEnd, int(pagePositions * 4))),
    set(
      weightOf[0]!,
      add(add(get(names.scores), multiply(get(query), get(names.stride))), multiply(get(pageStart), int(4))),
    ),
    weightOf.slice(1).map((local, index) => set(local, add(get(weightOf[index]!), get(names.stride)))),
    loopOver(at, int(0), int(whole), SPAN * 16, turn(SPAN)),
    rest > 0 ? turn(rest) : [],
  ];
}
