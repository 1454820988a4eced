import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addressesOption,
  addressOption,
  cellsOption,
  choicesOption,
  countFromZeroOption,
  countOption,
  countsOption,
  fractionOption,
  layersOption,
  millisecondsOption,
  originsOption,
  secondsOption,
  shareOption,
} from './options.ts';

/** Each of `values` is refused by an error that names option and value. */
function refuses(parse: (option: string) => (value: string) => unknown, values: string[]): void {
  for (const value of values) {
    assert.throws(
      () => parse('--it')(value),
      (error: Error) =>
        error.message.startsWith(`--it ${value || "''"}: expected `) || assert.fail(error.message),
      `took '${value}'`,
    );
  }
}

test('a count is a whole number from 1 and nothing that only begins with one', () => {
  assert.equal(countOption('--it')('12'), 12);
  assert.equal(countOption('--it', 20)('20'), 20);
  refuses((option) => countOption(option, 20), ['21', '0']);
  refuses((option) => countOption(option, 20, 2), ['21', '1']);
  refuses(
    (option) => countOption(option),
    ['', '0', '-1', '1.5', '1e3', '0x10', '2 ', '3x', 'NaN', 'Infinity', '9'.repeat(30)],
  );
});

test('an origin is what a browser sends: scheme, host and a port that is not usual', () => {
  const parse = originsOption('--it');
  for (const origin of ['*', 'https://chat.example', 'http://127.0.0.1:3000', 'chrome-extension://abc'])
    assert.deepEqual(parse(origin), [origin]);
  assert.deepEqual(parse('*', ['https://a.example']), ['https://a.example', '*']);
  refuses(originsOption, [
    '',
    'null',
    'chat.example',
    'https://chat.example/',
    'https://chat.example/page',
    'https://Chat.example',
    'https://chat.example:443',
    'https://me@chat.example',
    'https://*.example/',
    'mailto:me@chat.example',
  ]);
});

test('seconds are whole, may be none, and have an end', () => {
  assert.deepEqual(['0', '20'].map(secondsOption('--it', 20)), [0, 20]);
  refuses((option) => secondsOption(option, 20), ['', '-1', '21', '1.5', '1e1', '5s', 'NaN', 'Infinity']);
});

test('milliseconds may have a fraction and may be none, but have an end', () => {
  assert.deepEqual(['0', '4', '.05', '2.5'].map(millisecondsOption('--it')), [0, 4, 0.05, 2.5]);
  refuses(millisecondsOption, ['', '-1', '1e3', '4ms', 'NaN', 'Infinity', '3600001']);
});

test('counts are separated by commas', () => {
  assert.deepEqual(countsOption('--it')('2,4,8'), [2, 4, 8]);
  refuses(countsOption, ['', '2,', ',2', '2,0', '2;4', '2, 4']);
  refuses((option) => countsOption(option, 2), ['1', '2,1']);
});

test('cells are pairs from 1, separated by commas', () => {
  assert.deepEqual(cellsOption('--it')('1x128,16x1024'), [
    { sequences: 1, context: 128 },
    { sequences: 16, context: 1024 },
  ]);
  refuses(cellsOption, ['', '1', '0x128', '1x0', '1x128,', '1x128x2', '1 x 128', '-1x128']);
});

test('a fraction lies above 0 and not above its bound', () => {
  const upToOne = (option: string) => fractionOption(option, 1);
  assert.deepEqual(['0.5', '.25', '1'].map(upToOne('--it')), [0.5, 0.25, 1]);
  refuses(upToOne, ['', '0', '0.0', '-0.5', '1.01', '1/2', '0.5x', 'NaN', '5e-1', '0,5']);
});

test('a share may be none and all, and nothing beyond', () => {
  assert.deepEqual(['0', '1', '.5', '0.01', '1.0'].map(shareOption('--it')), [0, 1, 0.5, 0.01, 1]);
  refuses(shareOption, ['', '-1', '1.1', '1e-3', '50%', 'NaN']);
});

test('layers are a range that does not run backwards', () => {
  assert.deepEqual(layersOption('--it')('4-7'), { first: 4, last: 7 });
  assert.deepEqual(layersOption('--it')('4-4'), { first: 4, last: 4 });
  refuses(layersOption, ['', '4', '13-10', '-1-3', '1-', '1..3', '1-3-5', 'a-b']);
});

test('an address has a host and a port', () => {
  for (const value of ['127.0.0.1:0', 'worker-1.local:65535', '[::1]:80'])
    assert.equal(addressOption('--it')(value), value);
  refuses(addressOption, [
    '',
    '8080',
    ':8080',
    'host',
    'host:',
    'host:65536',
    'host:x',
    '::1:80',
    'http://host:80',
  ]);
});

test('addresses add up in the order given', () => {
  const parse = addressesOption('--worker');
  assert.deepEqual(parse('a:1', parse('b:2')), ['b:2', 'a:1']);
});

test('a count from zero may be zero, and choices are each known and given once', () => {
  assert.equal(countFromZeroOption('--it')('0'), 0);
  refuses(countFromZeroOption, ['', '-1', '1.5', '1e3']);
  const targets = (option: string) => choicesOption(option, ['q', 'k']);
  assert.deepEqual(targets('--it')('k,q'), ['k', 'q']);
  refuses(targets, ['', 'q,', 'v', 'q,q']);
});
