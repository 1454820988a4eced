import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StopStrings } from './stop-strings.ts';

test('a stop string spread over pieces ends the text before its first character', () => {
  const stops = new StopStrings(['\n\nUser:']);
  assert.deepEqual(stops.push('Hi.\n'), { text: 'Hi.', stopped: false });
  assert.deepEqual(stops.push('\nUs'), { text: '', stopped: false });
  assert.deepEqual(stops.push('er: x'), { text: '', stopped: true });
});

test('held text comes out once it can no longer become a stop string', () => {
  const stops = new StopStrings(['abc']);
  assert.equal(stops.push('xab').text, 'x');
  assert.equal(stops.push('d').text, 'abd');
});

test('the stop string that is complete first wins, and of two the longer', () => {
  assert.deepEqual(new StopStrings(['bcde', 'cd']).push('abcdef'), { text: 'ab', stopped: true });
  assert.deepEqual(new StopStrings(['cd', 'bcd']).push('abcdef'), { text: 'a', stopped: true });
});

test('what is still held at the end belongs to the text', () => {
  const stops = new StopStrings(['abc']);
  assert.equal(stops.push('zab').text + stops.end(), 'zab');
});

test('however a text is cut into pieces, it stops at the same place', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 });
  const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters), fc.array(stop, { minLength: 1, maxLength: 3 }), (pieces, stops) => {
      assert.deepEqual(scan(stops, pieces), scan(stops, [pieces.join('')]));
    }),
  );
});

function scan(stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } {
  const scanner = new StopStrings(stops);
  let text = '';
  for (const piece of pieces) {
    const found = scanner.push(piece);
    text += found.text;
    if (found.stopped) return { text, stopped: true };
  }
  return { text: text + scanner.end(), stopped: false };
}
