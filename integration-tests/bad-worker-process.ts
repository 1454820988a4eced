import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { openBundle } from '@rondo/bundle';
import { createLog, endAtOnce, Metrics } from '@rondo/chassis';
import { type Address, address, type Route, type WorkerRef } from '@rondo/core';
import { createEngine } from '@rondo/engine';
import { connectWorker, type Hello, type PassesFrame, type PassesReply, serveWorker } from '@rondo/wire';
import { serveEngine } from '@rondo/worker';
import type { Misdeed } from './bad-worker.ts';
import { ENGINE_FAULTS, type EngineFault, FaultyEngine } from './faulty-engine.ts';
import { lieInEvent, lieInFrame } from './lies.ts';

/**
 * A worker as a process of its own that does what it should until it is told a misdeed. Its engine is wrapped; whatever it says goes
 * through a front of its own: tokens to coordinators, and rows to the other workers of a route, whose addresses it is told anew.
 */
const [, , directory = '', hangMs] = process.argv;
const bundle = await openBundle(directory);
const threads = once(process, 'worker') as Promise<[Worker]>;
const real = await createEngine(bundle, { threads: 1, kvBytes: 64 << 20, provider: 'cpu' });
const [thread] = await threads;
// No request: whatever the thread does with it, it does not survive.
const engine = new FaultyEngine(real, () => thread.postMessage(undefined));
const worker = await serveEngine(engine, {
  bundle,
  listen: address('127.0.0.1:0'),
  hangMs: hangMs === undefined ? undefined : Number(hangMs),
  log: createLog('test', { level: 'fatal' }),
  metrics: new Metrics(),
});
const inner = connectWorker(worker.address);
let lie: string | undefined;

/** Hands a stream of passes on to the worker at `to`, frame by frame. */
async function handOn(
  to: Address,
  hello: Hello,
  frames: AsyncIterable<PassesFrame>,
  reply: (reply: PassesReply) => void,
  change: (frame: PassesFrame) => PassesFrame | Promise<PassesFrame>,
): Promise<void> {
  const client = connectWorker(to);
  const link = client.openPasses(hello);
  const replies = (async () => {
    for await (const answer of link.events) reply(answer);
  })();
  replies.catch(() => {});
  try {
    for await (const frame of frames) await link.send(await change(frame));
  } finally {
    client.close();
  }
}

const liars = new Map<string, Promise<Address>>();

/** Where rows to the worker at `to` go in, to come out there as a lie. */
function liarBefore(to: Address): Promise<Address> {
  const liar =
    liars.get(to) ??
    serveWorker(address('127.0.0.1:0'), {
      describe: () => worker.describe(),
      async *watch() {},
      async *generate() {},
      passes: (hello, frames, reply) => handOn(to, hello, frames, reply, (frame) => lieInFrame(lie, frame)),
    }).then((server) => server.address);
  liars.set(to, liar);
  return liar;
}

async function throughLiars(route: Route): Promise<Route> {
  const other = async (ref: WorkerRef): Promise<WorkerRef> =>
    ref.id === worker.workerId ? ref : { ...ref, address: await liarBefore(ref.address) };
  const stages = route.stages.map(async (stage) => ({ ...stage, worker: await other(stage.worker) }));
  return { ...route, home: await other(route.home), stages: await Promise.all(stages) };
}

const front = await serveWorker(address('127.0.0.1:0'), {
  describe: () => worker.describe(),
  watch: (signal) => inner.watch(signal),
  async *generate(spec, signal) {
    const events = inner.generate({ ...spec, route: await throughLiars(spec.route) }, signal);
    for await (const event of events) yield* lieInEvent(lie, event);
  },
  passes: (hello, frames, reply) =>
    handOn(worker.address, hello, frames, reply, async (frame) =>
      frame.type === 'open-stage' ? { ...frame, route: await throughLiars(frame.route) } : frame,
    ),
});

/** A thread that waits in native code for ever, as one does whose engine hangs there: opens a pipe that nobody writes to. */
function blockThread(): void {
  const pipe = join(directory, `pipe-${process.pid}`);
  execFileSync('mkfifo', [pipe]);
  new Worker(`require('node:fs').openSync(${JSON.stringify(pipe)}, 'r')`, { eval: true });
}

void worker.broken.then(({ code }) => (code === 'WORKER_STUCK' ? endAtOnce() : process.exit(1)));
process.on('message', (misdeed: Misdeed) => {
  if (misdeed === 'hang') blockThread();
  if ((ENGINE_FAULTS as readonly string[]).includes(misdeed)) engine.strike(misdeed as EngineFault);
  else lie = misdeed;
  process.send!({ done: misdeed });
});
process.send!({ address: front.address });
