import { join } from 'node:path';
import { RondoError } from '@rondo/core';
import type { ProcessEnd, RondoProcess } from '../rondo-process.ts';
import type { SuiteContext } from '../suite.ts';
import { Cable } from './cable.ts';
import { freePort } from './free-port.ts';

export interface ChaosClusterOptions {
  readonly bundle: string;
  readonly workers: number;
  readonly spares: number;
  readonly coordinators: number;
  readonly placement: string;
  /** Where workers announce themselves; without it the coordinators have a list of all slots. */
  readonly nats: string | undefined;
  /** Where each process leaves its log. */
  readonly folder: string;
}

/** A place for a worker: its port stays, and the cable before it unless another worker joins; its process comes and goes. */
export interface Slot {
  readonly name: string;
  readonly port: number;
  cable: Cable;
  process: RondoProcess | undefined;
  /** The start of the process that is on its way. */
  starting: Promise<void>;
  /** The end of the last process that was asked to leave. */
  leaving: Promise<void>;
}

/** K and V of a worker: room for the load with one worker left, if some of it waits. */
const KV_MB = '32';
/** A drain that takes longer has failed, in milliseconds: the lifecycle ends a process that takes 25 s to stop. */
const DRAIN_MS = 30_000;

/** Workers behind cables and coordinators that know them all, as real processes. */
export class ChaosCluster implements AsyncDisposable {
  readonly slots: readonly Slot[];
  readonly coordinators: RondoProcess[] = [];
  /** Processes that ended when or how they should not have. */
  readonly wrongExits: string[] = [];
  /** How long each drain took, in milliseconds. */
  readonly drainMs: number[] = [];
  readonly #context: SuiteContext;
  readonly #options: ChaosClusterOptions;

  private constructor(context: SuiteContext, options: ChaosClusterOptions, slots: readonly Slot[]) {
    this.#context = context;
    this.#options = options;
    this.slots = slots;
  }

  static async start(context: SuiteContext, options: ChaosClusterOptions): Promise<ChaosCluster> {
    const slots: Slot[] = [];
    for (let index = 0; index < options.workers + options.spares; index++) {
      const port = await freePort();
      const cable = await Cable.listen(port);
      const idle = { process: undefined, starting: Promise.resolve(), leaving: Promise.resolve() };
      slots.push({ name: `worker-${index}`, port, cable, ...idle });
    }
    const cluster = new ChaosCluster(context, options, slots);
    try {
      const first = slots.slice(0, options.nats === undefined ? slots.length : options.workers);
      await Promise.all(first.map((slot) => cluster.#startWorker(slot)));
      for (let index = 0; index < options.coordinators; index++) await cluster.#startCoordinator(index);
      // A coordinator starts only with every worker of its list; later they may come and go.
      for (const slot of first.slice(options.workers)) cluster.kill(slot);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get urls(): string[] {
    return this.coordinators.map(({ ready }) => ready.replace(/\/$/, ''));
  }

  /** Starts a worker where none is or one is leaving, at the address that the slot always had. */
  bringBack(slot: Slot): void {
    slot.starting = this.#startWorker(slot).catch((error: unknown) => {
      this.wrongExits.push(`${slot.name} could not be started: ${RondoError.from(error).message}`);
    });
  }

  /** Starts a worker in an empty slot; where no list says otherwise, at an address that nobody has heard of. */
  join(slot: Slot): void {
    const { leaving, cable } = slot;
    if (this.#options.nats !== undefined) {
      slot.leaving = leaving.then(async () => {
        await cable[Symbol.asyncDispose]();
        slot.cable = await Cable.listen(slot.port);
      });
    }
    this.bringBack(slot);
  }

  async #startWorker(slot: Slot): Promise<void> {
    await slot.leaving;
    slot.cable.heal();
    slot.process = await this.#launch(
      slot.name,
      ...['worker', '--model', this.#options.bundle, '--listen', `127.0.0.1:${slot.port}`],
      ...['--advertise', slot.cable.address, '--threads', '1', '--kv-mb', KV_MB],
      ...(this.#options.nats === undefined ? [] : ['--nats', this.#options.nats]),
    );
    this.#watch(slot.name, slot.process, () => slot.process);
  }

  /** Ends a worker with SIGKILL. */
  kill(slot: Slot): void {
    const process = take(slot);
    process.kill('SIGKILL');
    slot.leaving = process.ended.then(() => undefined);
  }

  /** Asks a worker to leave; it must do so by itself, with 0, in time. */
  drain(slot: Slot): void {
    const process = take(slot);
    const beginMs = performance.now();
    process.kill('SIGTERM');
    const late = setTimeout(() => {
      this.wrongExits.push(`${slot.name} was told to drain and was still there after ${DRAIN_MS / 1000} s`);
      process.kill('SIGKILL');
    }, DRAIN_MS);
    slot.leaving = process.ended.then((end) => {
      clearTimeout(late);
      this.drainMs.push(performance.now() - beginMs);
      if (end.code !== 0 && end.signal !== 'SIGKILL')
        this.wrongExits.push(`${slot.name} drained and ended with ${words(end)}`);
    });
  }

  /** Ends everything; who then ends badly is counted as well. */
  async [Symbol.asyncDispose](): Promise<void> {
    const coordinators = this.coordinators.splice(0);
    await Promise.all(coordinators.map((process, index) => this.#end(`coordinator-${index}`, process)));
    await Promise.all(
      this.slots.map(async (slot) => {
        await slot.starting;
        const { process, name, cable } = slot;
        slot.process = undefined;
        cable.heal();
        process?.kill('SIGCONT');
        if (process) await this.#end(name, process);
        await slot.leaving;
        await cable[Symbol.asyncDispose]();
      }),
    );
  }

  async #startCoordinator(index: number): Promise<void> {
    const name = `coordinator-${index}`;
    const process = await this.#launch(
      name,
      ...['coordinator', '--model', this.#options.bundle, '--listen', '127.0.0.1:0'],
      ...['--placement', this.#options.placement],
      ...(this.#options.nats === undefined
        ? this.slots.flatMap(({ cable }) => ['--worker', cable.address])
        : ['--nats', this.#options.nats]),
    );
    this.coordinators.push(process);
    this.#watch(name, process, () => this.coordinators[index]);
  }

  #launch(name: string, ...args: string[]): Promise<RondoProcess> {
    return this.#context.launchLogged(join(this.#options.folder, `${name}.log`), ...args);
  }

  /** Whoever ends while it still has its place was not told to. */
  #watch(name: string, process: RondoProcess, present: () => RondoProcess | undefined): void {
    void process.ended.then((end) => {
      if (present() === process) this.wrongExits.push(`${name} ended by itself with ${words(end)}`);
    });
  }

  async #end(name: string, process: RondoProcess): Promise<void> {
    const late = setTimeout(() => process.kill('SIGKILL'), DRAIN_MS);
    const end = await process.stop();
    clearTimeout(late);
    if (end.code !== 0) this.wrongExits.push(`${name} was told to stop and ended with ${words(end)}`);
  }
}

const words = ({ code, signal }: ProcessEnd): string => (signal === null ? `code ${code}` : signal);

function take(slot: Slot): RondoProcess {
  const { process } = slot;
  if (process === undefined) throw new RondoError('INTERNAL', `${slot.name} has no process`);
  slot.process = undefined;
  return process;
}
