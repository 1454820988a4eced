import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sequenceId } from '@rondo/core';
import { Opening } from './opening.ts';
import { request, setUp } from './test-generation.ts';
import { ScriptedWorker } from './test-worker.ts';

test('who is wary goes whole to a worker that has room', async (context) => {
  const workers = ['a', 'b', 'c'].map((id) => [`${id}:1`, new ScriptedWorker({ id })] as const);
  const { options } = await setUp(context, Object.fromEntries(workers));
  const opening = new Opening({ ...options, layersAtHome: false });
  const stages = async (wary: boolean, maxTokens: number): Promise<number> => {
    const open = await opening.open({
      id: sequenceId('s'),
      signal: new AbortController().signal,
      placement: 'staged',
      spec: () => ({ ...request, emitted: [], maxTokens }),
      nextEpoch: () => 1,
      shunned: new Set(),
      waits: false,
      recovering: false,
      wary,
    });
    await open.close(false);
    return open.route.stages.length;
  };
  assert.equal(await stages(false, 8), 3);
  assert.equal(await stages(true, 8), 1);
});
