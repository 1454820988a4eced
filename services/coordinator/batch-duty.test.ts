import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { batchDuty } from './batch-duty.ts';
import {
  type BatchRecord,
  batchObject,
  cancelling,
  ended,
  failed,
  newBatch,
  sealed,
  started,
} from './batch-record.ts';

const NOW = 1_000;
const made = newBatch(
  {
    id: 'batch_1',
    endpoint: '/v1/completions',
    inputFileId: 'file-1',
    completionWindow: '1m',
    metadata: null,
    windowS: 60,
    keeperId: 'k',
  },
  NOW,
);
const running = started(made, 3, NOW + 1);
const tallyOf = (completed: number, failed = 0) => ({ seq: completed + failed, completed, failed });
const dutyOf = (batch: BatchRecord, tally = batch.tally, taken = 0, now = NOW + 2) =>
  batchDuty({ batch, tally, taken }, now);
const seal = (ending: string) => ({ do: 'seal', ending });

test('a batch is read, run, sealed and written', () => {
  assert.deepEqual(dutyOf(made), { do: 'read-input' });
  assert.deepEqual(dutyOf(running, tallyOf(2)), { do: 'nothing' });
  assert.deepEqual(dutyOf(running, tallyOf(2, 1)), seal('completed'));
  const done = sealed(running, 'completed', tallyOf(2, 1), 'k', NOW + 3);
  assert.deepEqual(dutyOf(done), { do: 'write-output' });
  const over = ended(done, { outputFileId: 'file-o', errorFileId: 'file-e' }, NOW + 4);
  assert.deepEqual(dutyOf(over), { do: 'nothing' });
  const object = batchObject(over) as Record<string, unknown>;
  assert.equal(object.status, 'completed');
  assert.deepEqual(object.request_counts, { total: 3, completed: 2, failed: 1 });
  assert.deepEqual(
    ['created_at', 'in_progress_at', 'finalizing_at', 'completed_at', 'cancelled_at'].map(
      (key) => object[key],
    ),
    [NOW, NOW + 1, NOW + 3, NOW + 4, null],
  );
});

test('a window that closes seals what there is, and all there is when every line was answered', () => {
  assert.deepEqual(dutyOf(running, tallyOf(2), 1, NOW + 59), { do: 'nothing' });
  assert.deepEqual(dutyOf(running, tallyOf(2), 1, NOW + 60), seal('expired'));
  assert.deepEqual(dutyOf(running, tallyOf(3), 0, NOW + 60), seal('completed'));
  assert.deepEqual(dutyOf(made, made.tally, 0, NOW + 60), seal('expired'));
  const over = ended(
    sealed(running, 'expired', tallyOf(1), 'k', NOW + 60),
    { outputFileId: 'file-o', errorFileId: 'file-e' },
    NOW + 61,
  );
  const object = batchObject(over) as Record<string, unknown>;
  assert.deepEqual([object.status, object.expired_at], ['expired', NOW + 61]);
  assert.deepEqual(object.request_counts, { total: 3, completed: 1, failed: 2 });
});

test('a cancelled batch waits for its running lines, but not for ever', () => {
  const stopping = cancelling(running, NOW + 5);
  assert.deepEqual(dutyOf(stopping, tallyOf(1), 1, NOW + 5), { do: 'nothing' });
  assert.deepEqual(dutyOf(stopping, tallyOf(1), 0, NOW + 5), seal('cancelled'));
  assert.deepEqual(dutyOf(stopping, tallyOf(1), 1, NOW + 5 + LIMITS.batchCancelS), seal('cancelled'));
  assert.equal(sealed(stopping, 'cancelled', tallyOf(1), 'k', NOW + 6).status, 'cancelling');
  assert.deepEqual(dutyOf(cancelling(made, NOW)), seal('cancelled'));
});

test('what is coming to its end cannot be cancelled any more', () => {
  const done = sealed(running, 'completed', tallyOf(3), 'k', NOW + 3);
  assert.equal(cancelling(done, NOW + 4), done);
  const wrong = failed(made, [{ code: 'empty_file', message: '', param: null, line: null }], NOW + 1);
  assert.equal(cancelling(wrong, NOW + 4), wrong);
  assert.deepEqual(dutyOf(wrong), { do: 'nothing' });
});
