import { workerData } from 'node:worker_threads';
import { type AttentionThreadData, attendItems, CONTROL, CONTROL_BYTES } from './attention-threads.ts';

const { module, memory, scratch } = workerData as AttentionThreadData;
const { exports } = new WebAssembly.Instance(module, { host: { memory } });
const attend = exports.attend as (item: number, layer: number, scratch: number) => void;
const control = new Int32Array(memory.buffer, 0, CONTROL_BYTES / 4);

// The thread sleeps between jobs: it must not take a core from the graph runtime.
for (let done = Atomics.load(control, CONTROL.job); Atomics.load(control, CONTROL.stop) === 0; ) {
  Atomics.wait(control, CONTROL.job, done);
  done = Atomics.load(control, CONTROL.job);
  Atomics.add(control, CONTROL.busy, 1);
  attendItems(control, done, attend, scratch);
  Atomics.sub(control, CONTROL.busy, 1);
}
