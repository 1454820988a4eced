import { setTimeout as delay } from 'node:timers/promises';
import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { RondoProcess } from '../bench/rondo-process.ts';
import { closedLoop } from '../load/closed-loop.ts';
import { LoadClient } from '../load/load-client.ts';
import { residentMiB } from '../load/process-cpu.ts';
import type { RequestRecord } from '../load/request-record.ts';
import type { LoadRequest } from '../load/workload.ts';
import type { ExitChoice } from './cells.ts';
import { type WindowSpeed, windowSpeed } from './window-speed.ts';
import type { Window } from './windows.ts';

/** How fast a model answers, served by `rondo run` with one worker, over HTTP. */
export interface Speed {
  /** Memory of the serving process in RAM after the load, in MiB. */
  readonly memoryMiB: number;
  /** Of one request at a time with all passes: sending to first token, the median in milliseconds; NaN when none began in time. */
  readonly firstTokenMs: number;
  /** Of one request at a time with all passes. */
  readonly aloneTokensPerS: number;
  readonly clients: number;
  /** With so many clients, in each way of running that was measured: all passes first, then the thresholds. Empty when a fault came before. */
  readonly together: readonly SpeedOfExit[];
}

/** What was measured, and what ended it before its time. */
export interface SpeedUpTo {
  readonly speed: Speed;
  readonly fault?: unknown;
}

export interface SpeedOfExit {
  readonly exit: ExitChoice;
  readonly tokensPerS: number;
}

export interface SpeedOptions {
  /** Runs `rondo` with these arguments until it is ready. */
  readonly launch: (...args: string[]) => Promise<RondoProcess>;
  readonly threads: number;
  /** Prompts are cut from these. */
  readonly windows: readonly Window[];
  /** Tokens of a prompt and of an answer. */
  readonly greedy: { readonly prompt: number; readonly tokens: number };
  /** All passes first. */
  readonly exits: readonly ExitChoice[];
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

const CLIENTS = 8;
const WARM_UP_MS = 500;
const WINDOW_MS = 2500;
/** Ways of running beyond which none is tried: with this many a model takes about three quarters of a minute. */
const EXITS = 12;
const KV_MB = 512;

/**
 * Serves `bundle` and loads it: one request at a time, then `CLIENTS` at once in each way of running. Takes about three
 * seconds for each, however slow the model. A fault once something is measured, such as no token within a window, ends it there.
 * @throws RondoError ENGINE_FAILED when it cannot be served, or no token comes within the first window.
 */
export async function measureSpeed(bundle: Bundle, options: SpeedOptions): Promise<SpeedUpTo> {
  const { launch, threads, signal, onProgress } = options;
  const exits = options.exits.slice(0, EXITS);
  onProgress?.(0, exits.length + 1);
  await using server = await launch(
    ...['run', '--model', bundle.directory, '--workers', '1', '--listen', '127.0.0.1:0'],
    // Prompts come again and again.
    ...['--threads', String(threads), '--kv-mb', String(KV_MB), '--no-prefix-cache'],
  );
  const client = new LoadClient({ url: server.ready.replace(/\/$/, ''), model: bundle.manifest.name });
  const load = (clients: number, exit: ExitChoice) => loadWindow(client, clients, exit, bundle, options);
  try {
    const { firstTokenMs, tokensPerS: aloneTokensPerS } = await load(1, exits[0]!);
    const together: SpeedOfExit[] = [];
    // While it runs: a fault may be its end.
    let memoryMiB = await residentMiB(server.pid);
    const measured = () => ({ memoryMiB, firstTokenMs, aloneTokensPerS, clients: CLIENTS, together });
    try {
      for (const exit of exits) {
        signal?.throwIfAborted();
        onProgress?.(together.length + 1, exits.length + 1);
        const { tokensPerS } = await load(CLIENTS, exit);
        memoryMiB = await residentMiB(server.pid);
        together.push({ exit, tokensPerS });
      }
    } catch (fault) {
      return { speed: measured(), fault };
    }
    onProgress?.(exits.length + 1, exits.length + 1);
    return { speed: measured() };
  } finally {
    client.close();
  }
}

async function loadWindow(
  client: LoadClient,
  clients: number,
  exit: ExitChoice,
  { directory }: Bundle,
  { windows, greedy, signal }: SpeedOptions,
): Promise<WindowSpeed> {
  const stop = new AbortController();
  const stopped = signal ? AbortSignal.any([stop.signal, signal]) : stop.signal;
  const records: RequestRecord[] = [];
  const failed = Promise.withResolvers<never>();
  const loop = closedLoop({
    client,
    workload: { request: (index) => promptOf(index, windows, greedy, exit) },
    clients,
    signal: stopped,
    onRecord: (record) => {
      records.push(record);
      // A server that refuses would be asked again and again.
      if (record.outcome === 'refused' || record.outcome === 'failed') {
        failed.reject(
          new RondoError('ENGINE_FAILED', `${directory}: a request for its speed failed: ${record.error}`),
        );
      }
    },
  });
  try {
    await Promise.race([delay(WARM_UP_MS, undefined, { signal: stopped }), failed.promise]);
    const fromMs = performance.now();
    await Promise.race([delay(WINDOW_MS, undefined, { signal: stopped }), failed.promise]);
    const toMs = performance.now();
    stop.abort();
    const speed = windowSpeed(await loop, { fromMs, toMs });
    if (speed.tokens > 0) return speed;
    throw new RondoError(
      'ENGINE_FAILED',
      `${directory}: no token within ${WINDOW_MS} ms for ${clients} at once: too slow for its speed to be measured; leave it out with --no-speed`,
    );
  } catch (error) {
    // The user's reason rather than that of whatever it broke off.
    signal?.throwIfAborted();
    throw error;
  } finally {
    stop.abort();
    await loop;
  }
}

function promptOf(
  index: number,
  windows: readonly Window[],
  { prompt, tokens }: SpeedOptions['greedy'],
  exit: ExitChoice,
): LoadRequest {
  const { ids } = windows[index % windows.length]!;
  const fields =
    exit.kind === 'depth'
      ? { exit_policy: 'none', max_depth: exit.passes }
      : { exit_policy: exit.policy, exit_threshold: exit.threshold };
  return { promptIds: ids.slice(0, prompt), maxTokens: tokens, seed: index, fields };
}
