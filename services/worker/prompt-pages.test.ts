import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stack } from '@rondo/engine';
import fc from 'fast-check';
import { KvPools } from './kv-pools.ts';
import { Residency } from './residency.ts';

const PAGE = 4;
const DEPTHS = [0, 1, 2];

interface Shape {
  readonly preludeLayers: number;
  readonly codaLayers: number;
}

/** Where a row goes one after the other. */
type Place = readonly [Stack, number];

/**
 * A sequence without an engine: what its rows would write is told by the ids before them, in `floats`, so that a page
 * of another prompt, of another depth, or given away too early is found at once.
 */
class Sequence {
  readonly residency: Residency;
  readonly #prompt: readonly number[];
  readonly #floats: Map<string, string>;
  readonly #places: readonly Place[];
  readonly #paged: readonly Place[];
  /** What should lie at each position of each table. */
  readonly #expected = new Map<string, string[]>();
  #chunk: readonly [number, number];
  #place = 0;
  /** By depth: the first position of exited rows whose copies are made before its next run. */
  readonly #uncopied = new Map<number, number>();

  constructor(residency: Residency, prompt: readonly number[], shape: Shape, floats: Map<string, string>) {
    this.residency = residency;
    this.#prompt = prompt;
    this.#floats = floats;
    const block = DEPTHS.map((depth): Place => ['block', depth]);
    const coda: Place[] = shape.codaLayers > 0 ? [['coda', 0]] : [];
    this.#places = [['prelude', 0], ...block, ...coda];
    this.#paged = this.#places.filter(([stack]) => stack !== 'prelude' || shape.preludeLayers > 0);
    this.#chunk = [residency.cachedPositions, residency.cachedPositions];
    for (const [stack, depth] of this.#places) {
      const rows = Array.from({ length: residency.cachedPositions }, (_, at) => this.#row(stack, depth, at));
      this.#expected.set(`${stack} ${depth}`, rows);
    }
  }

  /** Moves its chunk on by one place, or begins the next one; `pick` decides how long it is and where rows exit. */
  advance(pick: number): void {
    if (this.#place === 0 && !this.#begin(pick)) return;
    const [stack, depth] = this.#places[this.#place]!;
    const [start, end] = this.#chunk;
    assert.equal(this.residency.written(stack, depth), start);
    const pages = this.residency.reach(stack, depth, end);
    if (stack === 'block') this.#uncopied.delete(depth);
    for (const { fromPage, toPage, slot, slots } of this.residency.drain(stack, depth)) {
      for (let at = slot; at < slot + slots; at++)
        this.#floats.set(`block ${toPage} ${at}`, this.#floats.get(`block ${fromPage} ${at}`)!);
    }
    for (let at = start; at < end; at++) {
      const row = this.#row(stack, depth, at);
      this.#expected.get(`${stack} ${depth}`)!.push(row);
      if (pages.length > 0) this.#floats.set(`${stack} ${pages[Math.floor(at / PAGE)]} ${at % PAGE}`, row);
    }
    this.residency.wrote(stack, depth, end);
    this.#place = (this.#place + 1) % this.#places.length;
    const exits = start >= this.#prompt.length && stack === 'block' && depth < 2 && pick % 2 === 0;
    if (exits) this.#exit(start, depth);
  }

  /** Reads all that it has written or shares. */
  check(): void {
    for (const [stack, depth] of this.#paged) {
      const expected = this.#expected.get(`${stack} ${depth}`)!;
      const copied = (stack === 'block' ? this.#uncopied.get(depth) : undefined) ?? Number.POSITIVE_INFINITY;
      const pages = this.residency.reach(stack, depth, this.residency.written(stack, depth));
      for (let at = 0; at < Math.min(expected.length, copied); at++) {
        const found = this.#floats.get(`${stack} ${pages[Math.floor(at / PAGE)]} ${at % PAGE}`);
        assert.equal(found, expected[at]);
      }
    }
  }

  #begin(pick: number): boolean {
    const start = this.#chunk[1];
    if (start === this.residency.positions) return false;
    const rows = start < this.#prompt.length ? Math.min(1 + (pick % 9), this.#prompt.length - start) : 1;
    this.#chunk = [start, start + rows];
    return true;
  }

  #exit(position: number, depth: number): void {
    this.residency.copyDeeper(position, depth, DEPTHS.length);
    const row = this.#expected.get(`block ${depth}`)![position]!;
    for (const deeper of DEPTHS.slice(depth + 1)) {
      this.#expected.get(`block ${deeper}`)!.push(row);
      if (!this.#uncopied.has(deeper)) this.#uncopied.set(deeper, position);
    }
    this.#place = (1 + DEPTHS.length) % this.#places.length;
  }

  #row(stack: Stack, depth: number, at: number): string {
    return `${stack} ${depth}: ${this.#prompt.slice(0, at + 1)} +${Math.max(0, at + 1 - this.#prompt.length)}`;
  }
}

const prompt = fc
  .record({ pages: fc.array(fc.nat(1), { maxLength: 5 }), tail: fc.integer({ min: 1, max: PAGE }) })
  .map(({ pages, tail }) => [...pages.flatMap((id) => Array(PAGE).fill(id)), ...Array(tail).fill(7)]);

type Action =
  | { kind: 'open'; prompt: number[]; more: number }
  | { kind: 'advance'; pick: number; turns: number }
  | { kind: 'close'; pick: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const), prompt, more: fc.nat(6) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      pick: fc.nat(40),
      turns: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), pick: fc.nat(40) }) },
);

/** A prompt of a whole page and a row, asked again when its first sequence has run to its end: some share by chance, this one must. */
const SHARING = ((): [{ preludeLayers: number; codaLayers: number }, number, Action[]] => {
  const open = { kind: 'open', prompt: [...Array(PAGE).fill(0), 7], more: 1 } as const;
  const advance = { kind: 'advance', pick: 8, turns: 20 } as const;
  return [
    { preludeLayers: 1, codaLayers: 1 },
    30,
    [open, ...Array(PAGE).fill(advance), { kind: 'close', pick: 0 }, open],
  ];
})();

test('whatever comes, shares, exits, is evicted or leaves midway: every row reads its own prompt, and no page is lost', () => {
  let hits = 0;
  fc.assert(
    fc.property(
      fc.record({ preludeLayers: fc.nat(1), codaLayers: fc.nat(1) }),
      fc.integer({ min: 8, max: 30 }),
      fc.array(action, { maxLength: 60 }),
      (shape, pages, actions) => {
        const kv = new KvPools({ prelude: pages, block: 3 * pages, coda: pages }, PAGE);
        const floats = new Map<string, string>();
        const open: Sequence[] = [];
        for (const act of actions) {
          if (act.kind === 'open') {
            const positions = act.prompt.length + act.more;
            const need = { positions, depths: DEPTHS, ...shape, promptIds: act.prompt };
            const residency = Residency.open(kv, need);
            if (residency) open.push(new Sequence(residency, act.prompt, shape, floats));
            if (residency?.cachedPositions) hits++;
          } else if (open.length > 0) {
            const chosen = act.pick % open.length;
            if (act.kind === 'close') open.splice(chosen, 1)[0]!.residency.close();
            else for (let turn = 0; turn < act.turns; turn++) open[chosen]!.advance(act.pick + turn);
          }
          kv.checkIntegrity();
          for (const sequence of open) sequence.check();
        }
        for (const { residency } of open) residency.close();
        kv.checkIdle();
      },
    ),
    { numRuns: 200, examples: [SHARING] },
  );
  assert.ok(hits > 0, 'no schedule shared a page');
});

const SHAPE = { preludeLayers: 1, codaLayers: 1 };
const ids = (length: number) => Array.from({ length }, (_, index) => index);

function run(kv: KvPools, promptIds: number[], turns: number, share = true): Sequence {
  const need = { positions: promptIds.length + 4, depths: DEPTHS, ...SHAPE };
  const residency = Residency.open(kv, { ...need, promptIds: share ? promptIds : undefined })!;
  const sequence = new Sequence(residency, promptIds, SHAPE, new Map());
  // One chunk of nine rows at most, in a turn for each of its five places.
  for (let turn = 0; turn < turns; turn++) sequence.advance(8);
  return sequence;
}

const found = (kv: KvPools, promptIds: number[]): number => {
  const { residency } = run(kv, promptIds, 0);
  residency.close();
  return residency.cachedPositions;
};

test('the page of the last prompt token is never shared: its row must run', () => {
  const kv = new KvPools({ prelude: 41, block: 121, coda: 41 }, PAGE);
  run(kv, ids(9), 5).residency.close();
  assert.deepEqual(
    [4, 5, 8, 9, 20].map((length) => found(kv, ids(length))),
    [0, 4, 4, 8, 8],
  );
});

test('a page enters the cache when the last stack has written it, also of a sequence that then leaves midway', () => {
  const kv = new KvPools({ prelude: 41, block: 121, coda: 41 }, PAGE);
  const early = run(kv, ids(30), 4);
  assert.equal(found(kv, ids(30)), 0, 'the coda has not run');
  early.advance(8);
  assert.equal(found(kv, ids(30)), 8, 'of nine rows, two full pages');
  early.residency.close();
  assert.equal(found(kv, ids(30)), 8);
  kv.checkIdle();
});

test('a sequence that shares reserves the rest only, and starts behind what it shares in every table', () => {
  const kv = new KvPools({ prelude: 41, block: 121, coda: 41 }, PAGE);
  run(kv, ids(9), 5).residency.close();
  const { residency } = run(kv, ids(9), 0);
  assert.deepEqual([kv.freePages('prelude'), kv.freePages('block'), kv.freePages('coda')], [36, 108, 36]);
  const again = run(kv, ids(9), 0);
  assert.deepEqual([kv.freePages('prelude'), kv.freePages('block'), kv.freePages('coda')], [34, 102, 34]);
  for (const depth of DEPTHS) {
    assert.equal(residency.written('block', depth), 8);
    assert.deepEqual(residency.reach('block', depth, 8), again.residency.reach('block', depth, 8));
    assert.notEqual(residency.reach('block', depth, 9)[2], again.residency.reach('block', depth, 9)[2]);
  }
});

test('a sequence that does not share neither finds nor leaves pages; nor does any where the cache is off', () => {
  const kv = new KvPools({ prelude: 41, block: 121, coda: 41 }, PAGE);
  run(kv, ids(9), 5, false).residency.close();
  assert.equal(found(kv, ids(9)), 0);
  const off = new KvPools({ prelude: 41, block: 121, coda: 41 }, PAGE, { prefixCache: false });
  run(off, ids(9), 5).residency.close();
  assert.equal(found(off, ids(9)), 0);
  assert.deepEqual(off.pageStates, { used: 0, cached: 0, free: 200 });
});

test('ten thousand sequences cancelled anywhere lose no page', () => {
  const kv = new KvPools({ prelude: 61, block: 181, coda: 61 }, PAGE);
  const open: Sequence[] = [];
  for (let index = 0; index < 10_000; index++) {
    const promptIds = [...ids((index * 7) % 23), index % 5, index % 11, index % 3];
    const need = { positions: promptIds.length + 4, depths: DEPTHS, ...SHAPE, promptIds };
    const residency = Residency.open(kv, need);
    if (residency) open.push(new Sequence(residency, promptIds, SHAPE, new Map()));
    for (let turn = 0; turn < (index * 13) % 31; turn++) open.at(-1)!.advance(index + turn);
    if (open.length > 3) open.splice((index * 5) % 4, 1)[0]!.residency.close();
  }
  assert.ok(kv.pageStates.cached > 0);
  for (const { residency } of open) residency.close();
  kv.checkIdle();
});
