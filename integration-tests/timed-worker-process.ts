import { openBundle } from '@rondo/bundle';
import { createLog, Metrics } from '@rondo/chassis';
import { address } from '@rondo/core';
import { type CostModel, TimedEngine } from '@rondo/engine';
import { serveEngine } from '@rondo/worker';

/**
 * A worker as a process of its own around an engine that only sleeps; it tells its address and, asked, its
 * metrics. A number that it is told is what a pass takes from then on, in milliseconds.
 */
const [, , directory = '', kvBytes = '', firstPassMs = '1'] = process.argv;
const bundle = await openBundle(directory);
let passMs = Number(firstPassMs);
const costs: CostModel = { stackMs: (stack) => (stack === 'block' ? passMs : 0), headMs: () => 0 };
const metrics = new Metrics();
const worker = await serveEngine(new TimedEngine(bundle.manifest, { costs, kvBytes: Number(kvBytes) }), {
  bundle,
  listen: address('127.0.0.1:0'),
  log: createLog('test', { level: 'silent' }),
  metrics,
});
void worker.broken.then((error) => process.send!({ broken: error.message }));
process.on('message', async (message: 'metrics?' | number) => {
  if (message === 'metrics?') process.send!({ metrics: await metrics.render() });
  else passMs = message;
});
process.once('disconnect', async () => {
  await worker.stop();
});
process.send!({ address: worker.address });
