import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PagePool, type Reservation } from './page-pool.ts';

test('the null page is never handed out and every other page is', () => {
  const pool = new PagePool(5);
  const reservation = pool.reserve(4)!;
  const pages = Array.from({ length: 4 }, () => reservation.take());
  assert.deepEqual(pages.toSorted(), [1, 2, 3, 4]);
});

test('a reservation that does not fit is refused and leaves the pool as it was', () => {
  const pool = new PagePool(5);
  pool.reserve(3);
  assert.equal(pool.reserve(2), undefined);
  assert.equal(pool.free, 1);
  assert.ok(pool.reserve(1));
});

test('a reservation keeps its promise and never exceeds it', () => {
  const pool = new PagePool(9);
  const mine = pool.reserve(2)!;
  const other = pool.reserve(6)!;
  for (let count = 0; count < 6; count++) other.take();
  mine.take();
  mine.take();
  assert.throws(() => mine.take(), /all 2 reserved pages are taken/);
});

test('release returns taken and untaken pages once', () => {
  const pool = new PagePool(4);
  const reservation = pool.reserve(3)!;
  reservation.take();
  reservation.release();
  reservation.release();
  assert.equal(pool.free, 3);
  assert.equal(pool.reserved, 0);
  assert.throws(() => reservation.take(), /released/);
  pool.checkIntegrity();
});

/** A pool whose cached pages are uncached oldest first, as a cache would do it. */
function cachingPool(pages: number): { pool: PagePool; cached: number[] } {
  const cached: number[] = [];
  const pool = new PagePool(pages, () => {
    const at = cached.findIndex((page) => pool.users(page) === 0);
    if (at < 0) return false;
    pool.uncache(cached.splice(at, 1)[0]!);
    return true;
  });
  return { pool, cached };
}

test('a cached page outlives its user, counts as free, and goes to whoever was promised more than is left', () => {
  const { pool, cached } = cachingPool(4);
  const first = pool.reserve(1)!;
  const page = first.take();
  pool.cache(page);
  cached.push(page);
  first.release();
  assert.deepEqual([pool.free, pool.idle, pool.used], [3, 1, 0]);
  const all = pool.reserve(3)!;
  const taken = [all.take(), all.take(), all.take()];
  assert.equal(taken[2], page, 'the cached page goes last');
  assert.deepEqual([pool.free, pool.idle, pool.used], [0, 0, 3]);
  pool.checkIntegrity();
});

test('a shared page is promised once for all who share it, and returns with the last of them', () => {
  const { pool, cached } = cachingPool(4);
  const owner = pool.reserve(1)!;
  const page = owner.take();
  pool.cache(page);
  cached.push(page);
  const sharer = pool.reserve(2, [page])!;
  assert.equal(pool.free, 0);
  assert.equal(pool.users(page), 2);
  owner.release();
  assert.deepEqual([pool.used, pool.idle], [1, 0]);
  assert.notEqual(sharer.take(), page);
  assert.notEqual(sharer.take(), page);
  assert.throws(() => sharer.take(), /all 2 reserved pages are taken/);
  sharer.release();
  assert.deepEqual([pool.free, pool.idle], [3, 1]);
  pool.checkIntegrity();
});

test('sharing an idle page takes it from what may be promised', () => {
  const { pool, cached } = cachingPool(3);
  const owner = pool.reserve(1)!;
  const page = owner.take();
  pool.cache(page);
  cached.push(page);
  owner.release();
  assert.equal(pool.reserve(2, [page]), undefined);
  assert.equal(pool.users(page), 0);
  assert.ok(pool.reserve(1, [page]));
  assert.equal(pool.free, 0);
  pool.checkIntegrity();
});

test('only a used page can be cached, and only a cached one shared', () => {
  const pool = new PagePool(4);
  const owner = pool.reserve(2)!;
  const page = owner.take();
  assert.throws(() => pool.cache(page + 1), /to cache/);
  assert.throws(() => pool.reserve(0, [page]), /is not cached/);
  assert.throws(() => pool.uncache(page), /is not cached/);
  pool.cache(page);
  assert.throws(() => pool.cache(page), /to cache/);
  pool.uncache(page);
  owner.release();
  assert.equal(pool.idle, 0);
  pool.checkIntegrity();
});

test('no schedule of reserve, share, take, cache and release loses a page, hands one out twice or breaks a promise', () => {
  const action = fc.record({
    kind: fc.constantFrom('reserve', 'share', 'take', 'take', 'cache', 'release'),
    pick: fc.nat(30),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(action, { maxLength: 80 }), (pages, actions) => {
      const { pool, cached } = cachingPool(pages);
      const open: { reservation: Reservation; held: number[]; shared: number[] }[] = [];
      for (const { kind, pick } of actions) {
        const chosen = open[pick % Math.max(1, open.length)];
        if (kind === 'reserve' || kind === 'share') {
          const shared = kind === 'share' ? cached.filter((_, index) => (pick >> (index % 5)) & 1) : [];
          const woken = shared.filter((page) => pool.users(page) === 0).length;
          const count = kind === 'share' ? pick % 4 : pick;
          const fits = count + woken <= pool.free;
          const reservation = pool.reserve(count, shared);
          assert.equal(reservation !== undefined, fits);
          if (reservation) open.push({ reservation, held: [], shared });
        } else if (kind === 'take' && chosen && chosen.reservation.taken < chosen.reservation.count) {
          chosen.held.push(chosen.reservation.take());
        } else if (kind === 'cache' && chosen) {
          const page = chosen.held.find((own) => !cached.includes(own));
          if (page !== undefined) {
            pool.cache(page);
            cached.push(page);
          }
        } else if (kind === 'release' && chosen) {
          chosen.reservation.release();
          open.splice(open.indexOf(chosen), 1);
        }
        pool.checkIntegrity();
        const held = open.flatMap((entry) => entry.held);
        assert.equal(new Set(held).size, held.length, 'a page was taken twice');
        for (const { shared } of open) {
          for (const page of shared) assert.ok(cached.includes(page), 'a page in use was reclaimed');
        }
        assert.ok(held.every((page) => page > 0 && page < pages));
        assert.equal(pool.free + pool.reserved, pages - 1);
      }
      for (const { reservation } of open) {
        while (reservation.taken < reservation.count) reservation.take();
      }
      for (const { reservation } of open) reservation.release();
      pool.checkIntegrity();
      assert.equal(pool.free, pages - 1);
    }),
  );
});
