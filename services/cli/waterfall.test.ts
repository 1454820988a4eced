import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestDetail } from '@rondo/coordinator';
import { waterfall } from './waterfall.ts';

const pass = (token: number | null, depth: number, startMs: number, hopMs: number | null) => ({
  ...{ token, position: token === null ? 0 : token + 2, rows: token === null ? 3 : 1, depth },
  ...{ worker: depth < 1 ? 'here' : 'there', step: 7, step_rows: 5, step_depths: [0, 1] },
  ...{
    start_ms: startMs,
    wait_ms: 1,
    run_ms: depth === 1 ? 30 : 4,
    hop_ms: hopMs,
    signal: null,
    exited: false,
  },
});

const detail: RequestDetail = {
  ...{ id: 'r-1', trace_id: 'abc', model: 'm', started_ms: 0, state: 'finished', finish_reason: 'stop' },
  ...{
    prompt_tokens: 3,
    completion_tokens: 2,
    passes: 8,
    ttft_ms: 40,
    total_ms: 100,
    workers: ['here', 'there'],
  },
  spans: [
    { name: 'queue', start_ms: 0, end_ms: 2, attributes: {} },
    { name: 'prefill', start_ms: 2, end_ms: 40, attributes: { 'rondo.position': 0, 'rondo.rows': 3 } },
    { name: 'decode', start_ms: 40, end_ms: 90, attributes: { 'rondo.token': 1 } },
  ],
  passes_run: [pass(null, 0, 3, 2), pass(null, 1, 10, null), pass(1, 0, 45, 2), pass(1, 1, 52, null)],
  events: [{ at_ms: 50, name: 'recovery', attributes: { 'rondo.cause': 'lost' } }],
  truncated: false,
};

const WIDE = { columns: 140, colours: false, passes: false };

test('a request shows its stretches, and of each the pass that took longest', () => {
  const text = waterfall(detail, WIDE);
  assert.match(text, /request r-1 {2}model m {2}finished \(stop\)/);
  assert.match(text, /^prefill, 3 rows at 0 .*38 ms from 2.00 ms$/m);
  assert.match(text, /^ {2}pass 1 on there .*░?█+.* wait 1.00 ms, run 30 ms {2}\(5 rows, depths 0 1\)$/m);
  assert.doesNotMatch(text, /pass 0/);
  assert.match(text, /^recovery .*!.* cause lost$/m);
});

test('every pass stands where it ran, with its hop', () => {
  const text = waterfall(detail, { ...WIDE, passes: true });
  assert.equal(text.match(/^ {2}pass /gm)?.length, 4);
  const [first, second] = text.split('\n').filter((line) => line.startsWith('  pass'));
  assert.match(first!, /hop 2.00 ms/);
  assert.ok(first!.indexOf('█') < second!.indexOf('█'));
});

test('no line is wider than the terminal, and only a terminal gets colours', () => {
  for (const columns of [30, 60, 200]) {
    const lines = waterfall(detail, { ...WIDE, columns, passes: true }).split('\n');
    assert.ok(lines.every((line) => line.length <= columns));
    assert.ok(!lines.join().includes('\x1b'));
  }
  const coloured = waterfall(detail, { ...WIDE, colours: true }).split('\n');
  assert.ok(coloured.some((line) => line.startsWith('\x1b[32m  pass 1 ') && line.endsWith('\x1b[0m')));
});

test('a request whose passes nobody asked for says so', () => {
  assert.match(waterfall({ ...detail, passes_run: [] }, WIDE), /passes are not known/);
});
