import type { LiveFrame } from '@rondo/coordinator';
import { Command } from 'commander';
import { API_HELP, type ApiFlags, addApiOptions, apiClient } from './api-options.ts';
import { topFrame } from './top-frame.ts';

const CLEAR = '\x1b[H\x1b[2J';
const COLUMNS_DEFAULT = 80;

/** `rondo top`: what the console shows, in a terminal. */
export const topCommand = (): Command =>
  addApiOptions(new Command('top'))
    .description('watch a cluster at work: rows at each depth, exits, workers, latency')
    .option('--once', 'print one screen and end', false)
    .addHelpText(
      'after',
      `
The rates are those of the last half second; the same as a page: /console of the coordinator. Ctrl-C ends it.
${API_HELP}

Examples:
  rondo top
  rondo top --once --url http://10.0.0.5:8080`,
    )
    .action(top);

async function top({ once, ...flags }: ApiFlags & { readonly once: boolean }): Promise<void> {
  const client = await apiClient(flags);
  let before: LiveFrame | undefined;
  for await (const frame of frames(await client.download('/console/live'))) {
    if (before !== undefined) {
      const screen = topFrame(frame, before, process.stdout.columns ?? COLUMNS_DEFAULT);
      process.stdout.write(once ? screen : `${CLEAR}${screen}`);
      if (once) return;
    }
    before = frame;
  }
}

/** The frames of a stream of events. */
async function* frames(stream: ReadableStream<Uint8Array>): AsyncGenerator<LiveFrame, void, undefined> {
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
