import type { RequestDetail } from '@rondo/coordinator';
import { LIMITS } from '@rondo/core';
import { Command } from 'commander';
import { API_HELP, type ApiFlags, addApiOptions, apiClient } from './api-options.ts';
import { waterfall } from './waterfall.ts';

const COLUMNS_DEFAULT = 100;

/** `rondo trace`: the waterfall of one request as text. */
export const traceCommand = (): Command =>
  addApiOptions(new Command('trace'))
    .description(
      'show where the time of one request went: queue, prefill, every token and pass, worker by worker',
    )
    .argument('<request>', 'its id: x-request-id of the answer, or requestId in the log')
    .option('--passes', 'show every pass, not only the slowest of each token', false)
    .addHelpText(
      'after',
      `
Passes are known of requests that were sampled (--trace-sample, or a traceparent whose client samples), that ran while a console or
rondo top was open, or of all with --trace-slower-than. A coordinator remembers its last ${LIMITS.recentRequests} requests.
Of a pass ░ is the wait for its step, █ its run and ─ the hop to the next worker.
${API_HELP}

Examples:
  rondo trace 0b8ff0f9-3f0e-4a43-9cbb-3b7e0b0c8a52
  rondo trace my-request --passes --url http://10.0.0.5:8080`,
    )
    .action(trace);

async function trace(request: string, flags: ApiFlags & { readonly passes: boolean }): Promise<void> {
  const client = await apiClient(flags);
  const detail = await client.get<RequestDetail>(`/console/requests/${encodeURIComponent(request)}`);
  const { columns = COLUMNS_DEFAULT, isTTY = false } = process.stdout;
  process.stdout.write(waterfall(detail, { columns, colours: isTTY, passes: flags.passes }));
}
