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

test('no schedule of reserve, take and release loses a page or hands one out twice', () => {
  const action = fc.record({ kind: fc.constantFrom('reserve', 'take', 'release'), pick: fc.nat(30) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(action, { maxLength: 80 }), (pages, actions) => {
      const pool = new PagePool(pages);
      const open: { reservation: Reservation; held: number[] }[] = [];
      for (const { kind, pick } of actions) {
        const chosen = open[pick % Math.max(1, open.length)];
        if (kind === 'reserve') {
          const fits = pick <= pool.free;
          const reservation = pool.reserve(pick);
          assert.equal(reservation !== undefined, fits);
          if (reservation) open.push({ reservation, held: [] });
        } else if (kind === 'take' && chosen && chosen.reservation.taken < chosen.reservation.count) {
          chosen.held.push(chosen.reservation.take());
        } else if (kind === 'release' && chosen) {
          chosen.reservation.release();
          open.splice(open.indexOf(chosen), 1);
        }
        pool.checkIntegrity();
        const held = open.flatMap((entry) => entry.held);
        assert.equal(new Set(held).size, held.length);
        assert.ok(held.every((page) => page > 0 && page < pages));
        assert.equal(pool.free + pool.reserved, pages - 1);
      }
    }),
  );
});
