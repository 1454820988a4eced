import { setTimeout as delay } from 'node:timers/promises';
import type { LiveFrame } from '@rondo/coordinator';
import { RondoError } from '@rondo/core';
import { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import { API_HELP, type ApiFlags, addApiOptions, apiClient } from './api-options.ts';
import { topFrame } from './top-frame.ts';

const CLEAR = '\x1b[H\x1b[2J';
const COLUMNS_DEFAULT = 80;
const LIVE = '/console/live';
const RETRY_MS = 1000;

/** `rondo top`: what the console shows, in a terminal. */
export const topCommand = (): Command =>
  addApiOptions(new Command('top'))
    .description('watch a cluster at work: rows at each depth, exits, workers, latency')
    .option('--once', 'print one screen and end', false)
    .addHelpText(
      'after',
      `
The rates are those of the last half second; the same as a page: /console of the coordinator. One that restarts is found
again. Ctrl-C ends it.
${API_HELP}

Examples:
  rondo top
  rondo top --once --url http://10.0.0.5:8080`,
    )
    .action(top);

async function top({ once, ...flags }: ApiFlags & { readonly once: boolean }): Promise<void> {
  const client = await apiClient(flags);
  // Who is not there at the start is a mistake; who goes away later may come back.
  let stream = await client.download(LIVE);
  while (!(await show(stream, once))) {
    process.stdout.write(`${client.url} is away, looking for it again\n`);
    stream = await backAgain(client);
  }
}

/** Shows a coordinator's frames as they come; false when it went away. */
async function show(stream: AsyncIterable<Uint8Array>, once: boolean): Promise<boolean> {
  let before: LiveFrame | undefined;
  try {
    for await (const frame of frames(stream)) {
      if (before !== undefined) {
        const screen = topFrame(frame, before, process.stdout.columns ?? COLUMNS_DEFAULT);
        process.stdout.write(once ? screen : `${CLEAR}${screen}`);
        if (once) return true;
      }
      before = frame;
    }
  } catch (error) {
    if (once) throw error;
  }
  return false;
}

/** @throws RondoError what a coordinator that is there refuses with for good, such as a key it does not know */
async function backAgain(client: ApiClient): Promise<AsyncIterable<Uint8Array>> {
  for (;;) {
    await delay(RETRY_MS);
    try {
      return await client.download(LIVE);
    } catch (error) {
      if (!RondoError.from(error).retryable) throw error;
    }
  }
}

/** The frames of a stream of events. */
async function* frames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<LiveFrame, void, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    const parts = text.split('\n\n');
    text = parts.pop()!;
    for (const part of parts) {
      const data = part.slice('data: '.length);
      if (data !== '[DONE]') yield JSON.parse(data) as LiveFrame;
    }
  }
}
