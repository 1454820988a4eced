import { openBundle } from '@rondo/bundle';
import { createLog, Metrics } from '@rondo/chassis';
import { address } from '@rondo/core';
import { linearCosts, TimedEngine } from '@rondo/engine';
import { serveEngine } from '@rondo/worker';

/** A worker as a process of its own around an engine that only sleeps; it tells its address and, asked, its metrics. */
const [, , directory = '', kvBytes = ''] = process.argv;
const bundle = await openBundle(directory);
const costs = linearCosts({ passMs: 1, rowMs: 0 });
const metrics = new Metrics();
const worker = await serveEngine(new TimedEngine(bundle.manifest, { costs, kvBytes: Number(kvBytes) }), {
  bundle,
  listen: address('127.0.0.1:0'),
  log: createLog('test', { level: 'silent' }),
  metrics,
});
void worker.broken.then((error) => process.send!({ broken: error.message }));
process.on('message', async () => process.send!({ metrics: await metrics.render() }));
process.once('disconnect', async () => {
  await worker.stop();
});
process.send!({ address: worker.address });
