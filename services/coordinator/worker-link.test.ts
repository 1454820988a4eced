import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bundle } from '@rondo/bundle';
import { createLog } from '@rondo/chassis';
import { address, RondoError } from '@rondo/core';
import { WorkerLink } from './worker-link.ts';

test('a client that cannot even be made is a failure of its link, and tried again', async (context) => {
  const twice = Promise.withResolvers<void>();
  let tries = 0;
  const link = new WorkerLink(
    address('worker-1'),
    {
      bundle: {} as Bundle,
      log: createLog('test', { level: 'silent' }),
      connect: () => {
        if (++tries === 2) twice.resolve();
        throw new RondoError('CONFIG_INVALID', "'worker-1' is no address");
      },
    },
    { changed() {}, moved() {} },
  );
  context.after(() => link.close());
  await assert.rejects(link.joined(60_000), { code: 'CONFIG_INVALID' });
  assert.equal(link.failure?.message, "'worker-1' is no address");
  assert.equal(link.open, false);
  await twice.promise;
});
