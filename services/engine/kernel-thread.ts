import { workerData } from 'node:worker_threads';
import {
  CONTROL,
  CONTROL_BYTES,
  itemFunctionsOf,
  type KernelThreadData,
  takeItem,
} from './kernel-threads.ts';

const { module, memory, scratch } = workerData as KernelThreadData;
const { exports } = new WebAssembly.Instance(module, { host: { memory } });
const functions = itemFunctionsOf(exports);
const control = new Int32Array(memory.buffer, 0, CONTROL_BYTES / 4);

// Between gatherings the thread sleeps: it must not take a core from the graph runtime. `stop` is written before `gathering` and
// so read after it: whoever reads it the other way round may sleep on the last value that `gathering` ever has.
for (;;) {
  const gathering = Atomics.load(control, CONTROL.gathering);
  if (Atomics.load(control, CONTROL.stop) !== 0) break;
  if (gathering % 2 === 0) Atomics.wait(control, CONTROL.gathering, gathering);
  else takeItem(control, functions, scratch);
}
