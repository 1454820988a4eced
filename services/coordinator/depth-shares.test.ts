import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passesIn } from '@rondo/core';
import fc from 'fast-check';
import { depthsByRoom, longestOver } from './depth-shares.ts';

const PAGE = 16;

test('no worker is given more pages than it has, up to the longest sequence that all hold together', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 4 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (maxDepth, pages, share) => {
        const shape = { maxDepth, pagePositions: PAGE };
        const rooms = pages.map((count) => count * PAGE);
        const longest = longestOver(shape, rooms);
        const positions = Math.max(1, Math.round(share * longest));
        const ranges = depthsByRoom(shape, positions, rooms)!;
        for (const [index, range] of ranges.entries()) {
          assert.ok(passesIn(range) * Math.ceil(positions / PAGE) <= pages[index]! * maxDepth);
        }
        assert.equal(ranges.at(-1)!.end, maxDepth);
        assert.equal(depthsByRoom(shape, longest + 1, rooms), undefined);
      },
    ),
  );
});

test('what is asked for ends at a page that the smallest share still holds', () => {
  const shape = { maxDepth: 4, pagePositions: PAGE };
  assert.equal(longestOver(shape, [320, 160]), 416);
  assert.equal(depthsByRoom(shape, 417, [320, 160]), undefined, '3 depths of 27 pages are one more than 80');
});
