import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { smallGraph } from './small-graph.ts';

test('the runtime loads a small graph and runs its nodes in order, their axes as given', async () => {
  const graph = smallGraph(
    'join-and-pick',
    [
      { op: 'Concat', name: 'both', inputs: ['rows', 'more'], axis: 0 },
      { op: 'Gather', name: 'picked', inputs: ['both', 'index'] },
    ],
    [
      { name: 'rows', type: 'float32', dims: ['R', 'width'] },
      { name: 'more', type: 'float32', dims: ['M', 'width'] },
      { name: 'index', type: 'int64', dims: ['N'] },
    ],
    { name: 'picked', type: 'float32', dims: ['N', 'width'] },
  );
  const session = await InferenceSession.create(graph);
  const { picked } = await session.run({
    rows: new Tensor('float32', [1, 2, 3, 4], [2, 2]),
    more: new Tensor('float32', [5, 6], [1, 2]),
    index: new Tensor('int64', [2n, 0n], [2]),
  });
  assert.deepEqual(
    [picked!.dims, [...(picked!.data as Float32Array)]],
    [
      [2, 2],
      [5, 6, 1, 2],
    ],
  );
  await session.release();
});
