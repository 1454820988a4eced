import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { listPage } from './list-page.ts';

test('following `after` shows every entry once, from the newest or from the oldest on', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat({ max: 999 })),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom('asc' as const, 'desc' as const),
      (numbers, limit, order) => {
        const all = numbers.map((number) => ({
          id: String(number).padStart(3, '0'),
          createdAt: number % 10,
        }));
        const seen: string[] = [];
        let after: string | undefined;
        for (let more = true; more; ) {
          const page = listPage(all, { limit, after, order });
          assert.equal(page.first_id, page.data[0]?.id ?? null);
          seen.push(...page.data.map(({ id }) => id));
          after = page.last_id ?? undefined;
          more = page.has_more;
        }
        const sorted = all
          .toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
          .map(({ id }) => id);
        assert.deepEqual(seen, order === 'asc' ? sorted : sorted.reverse());
      },
    ),
  );
});

test('a page behind an entry that is not there is refused', () => {
  assert.throws(
    () => listPage([{ id: 'a', createdAt: 0 }], { limit: 1, after: 'b', order: 'desc' }),
    /after.*'b'/,
  );
});

test('an entry that was made later comes behind `after`, whatever its id is made of', () => {
  const upload = { id: 'file-2', createdAt: 2 };
  const output = { id: 'file-1o', createdAt: 3 };
  const { data } = listPage([output, upload], { limit: 1, after: upload.id, order: 'asc' });
  assert.deepEqual(data, [output]);
});
