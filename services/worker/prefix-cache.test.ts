import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PagePool } from '@rondo/engine';
import { type CachedPages, PrefixCache } from './prefix-cache.ts';

/** Pages of two positions; one page of the block and one of the coda hold them, the prelude has no layers. */
function room(pages: number) {
  const reclaim = (): boolean => cache.evict();
  const pools = {
    prelude: new PagePool(1, reclaim),
    block: new PagePool(pages + 1, reclaim),
    coda: new PagePool(pages + 1, reclaim),
  };
  const cache: PrefixCache = new PrefixCache(pools, 2);

  /** A sequence that computes pages `from`… of its prompt itself and leaves them to the cache. */
  const comes = (ids: readonly number[], shared: readonly CachedPages[] = []) => {
    const count = ids.length / 2 - shared.length;
    const pagesOf = (stack: 'block' | 'coda') => shared.flatMap(({ pages }) => pages[stack]);
    const block = pools.block.reserve(count, pagesOf('block'))!;
    const coda = pools.coda.reserve(count, pagesOf('coda'))!;
    cache.hold(shared);
    const chain = [...shared];
    const adds = () => {
      const pages = { prelude: [], block: [block.take()], coda: [coda.take()] };
      const added = cache.add(chain.at(-1), ids, chain.length, pages);
      if (added) chain.push(added);
      return added;
    };
    const leaves = () => {
      block.release();
      coda.release();
      cache.leave(chain);
      cache.checkIntegrity();
    };
    return { adds, leaves };
  };
  const cached = (ids: readonly number[]): number => cache.find(ids, ids.length / 2).length;
  const fills = (ids: readonly number[]) => {
    const sequence = comes(ids, cache.find(ids, ids.length / 2));
    while (cached(ids) < ids.length / 2) sequence.adds();
    return sequence;
  };
  return { pools, cache, comes, fills, cached };
}

test('a prompt finds the pages of the longest beginning it shares with an earlier one, at most as many as it asks for', () => {
  const { fills, cached, cache } = room(8);
  fills([1, 2, 3, 4, 5, 6]).leaves();
  assert.equal(cached([1, 2, 3, 4, 5, 6]), 3);
  assert.equal(cached([1, 2, 3, 4, 5, 7]), 2);
  assert.equal(cached([1, 2, 9, 4, 5, 6]), 1);
  assert.equal(cached([2, 1, 3, 4]), 0);
  assert.equal(cached([3, 4]), 0, 'the same ids at another position are another page');
  assert.equal(cache.find([1, 2, 3, 4, 5, 6], 2).length, 2);
});

test('ids that would read the same when joined are not taken for one another', () => {
  const { fills, cached } = room(8);
  fills([1, 23, 4, 5]).leaves();
  assert.equal(cached([12, 3, 4, 5]), 0);
  assert.equal(cached([1, 2, 34, 5]), 0);
});

test('whoever comes second with the same ids keeps its own pages, and both leave without loss', () => {
  const { comes, cache, pools } = room(8);
  const [first, second] = [comes([1, 2, 3, 4]), comes([1, 2, 3, 4])];
  const added = first.adds();
  assert.equal(second.adds(), added);
  assert.deepEqual(second.adds()?.pages.block, [3], 'the second may be first with the next page');
  first.adds();
  first.leaves();
  second.leaves();
  assert.deepEqual([pools.block.idle, pools.block.free, pools.block.used], [2, 8, 0]);
  pools.block.checkIntegrity();
  cache.checkIntegrity();
});

test('what has been unused longest is evicted first, the end of a prompt before its beginning', () => {
  const { fills, cached, cache } = room(8);
  fills([1, 1, 2, 2, 3, 3]).leaves();
  fills([9, 9]).leaves();
  const order = (prompts: number[][]) => prompts.map(cached);
  const prompts = [
    [1, 1, 2, 2, 3, 3],
    [9, 9],
  ];
  assert.deepEqual(order(prompts), [3, 1]);
  cache.evict();
  assert.deepEqual(order(prompts), [2, 1]);
  fills([1, 1]).leaves();
  cache.evict();
  assert.deepEqual(order(prompts), [1, 1]);
  cache.evict();
  assert.deepEqual(order(prompts), [1, 0], 'the first page was used since');
  cache.evict();
  assert.deepEqual(order(prompts), [0, 0]);
  assert.equal(cache.evict(), false);
});

test('pages in use are not evicted, and an empty pool takes back those that are not', () => {
  const { fills, cached, cache, pools } = room(4);
  const user = fills([1, 1, 2, 2]);
  fills([1, 1, 3, 3]).leaves();
  const all = pools.block.reserve(2)!;
  assert.equal(pools.block.reserve(1), undefined);
  all.take();
  assert.equal(cached([1, 1, 3, 3]), 2, 'one page was free');
  all.take();
  assert.equal(cached([1, 1, 3, 3]), 1);
  assert.equal(cached([1, 1, 2, 2]), 2);
  assert.equal(cache.evict(), false);
  all.release();
  user.leaves();
  pools.block.checkIntegrity();
  pools.coda.checkIntegrity();
});

test('an unused page set with a used one behind it can be evicted: the pages behind go with it once they are left', () => {
  const { comes, cached, cache, pools } = room(8);
  const [first, second] = [comes([1, 1]), comes([1, 1, 2, 2, 3, 3])];
  first.adds();
  second.adds();
  first.leaves();
  second.adds();
  assert.equal(cached([1, 1, 2, 2]), 2);
  while (cache.evict());
  assert.equal(cached([1, 1, 2, 2]), 0);
  assert.equal(second.adds(), undefined, 'nothing can be added behind what was evicted');
  second.leaves();
  assert.deepEqual([pools.block.idle, pools.block.used], [0, 0]);
  pools.block.checkIntegrity();
});
