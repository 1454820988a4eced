import { lookup } from 'node:dns/promises';
import { RondoError } from '@rondo/core';
import { Command } from 'commander';
import type { ApiClient } from './api-client.ts';
import { API_HELP, type ApiFlags, addApiOptions, apiClient } from './api-options.ts';
import { addressOption } from './options.ts';
import { listening, passesOf } from './worker-passes.ts';

interface CheckFlags extends ApiFlags {
  readonly model: string;
  readonly workers: string;
}

interface Completion {
  readonly choices: readonly { readonly finish_reason: string; readonly token_ids: readonly number[] }[];
  readonly usage: { readonly completion_tokens: number };
}

const TOKENS = 8;
/** Requests of a round for each worker: placement fills one worker before it takes the next. */
const EACH = 4;
const ROUNDS_MAX = 16;

/** `rondo check`: does a cluster answer, and does every worker of it work? */
export const checkCommand = (): Command =>
  addApiOptions(new Command('check'))
    .description('send completions until every worker of a pool has run passes; fails when one does not')
    .requiredOption('--model <name>', 'whom to ask')
    .requiredOption(
      '--workers <host:port>',
      "admin port of the workers; every address of the host's name is one; an IPv4 and an IPv6 address may be the same worker's",
      addressOption('--workers'),
    )
    .addHelpText(
      'after',
      `
Each answer must have the tokens that were asked for. At most ${ROUNDS_MAX} rounds of ${EACH} completions a worker are sent.
helm test runs this for every pool.
${API_HELP}

Examples:
  rondo check --url http://rondo --model looped --workers rondo-cpu:9090`,
    )
    .action(check);

async function check({ model, workers, ...api }: CheckFlags): Promise<void> {
  const client = await apiClient(api);
  const addresses = await listening(await addressesOf(workers));
  const before = await passesOf(addresses);
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    await sendRound(client, model, EACH * addresses.length);
    const now = await passesOf(addresses);
    const idle = addresses.filter((address) => now.get(address)! <= before.get(address)!);
    if (idle.length === 0) {
      const sent = round * EACH * addresses.length;
      process.stdout.write(
        `ok: ${addresses.length} workers of ${workers} ran passes for ${sent} completions\n`,
      );
      return;
    }
    if (round === ROUNDS_MAX) {
      throw new RondoError(
        'NO_WORKER',
        `${idle.join(', ')}: no pass ran there for ${model}; see its log and /readyz of the coordinator's admin port`,
      );
    }
  }
}

/** @throws RondoError CONFIG_INVALID for a name without addresses */
async function addressesOf(workers: string): Promise<string[]> {
  const colon = workers.lastIndexOf(':');
  const host = workers.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const found = await lookup(host, { all: true }).catch((cause: Error) => {
    throw new RondoError('CONFIG_INVALID', `--workers ${workers}: ${cause.message}`, { cause });
  });
  return found.map(
    ({ address, family }) => `${family === 6 ? `[${address}]` : address}${workers.slice(colon)}`,
  );
}

/** @throws RondoError INTERNAL for an answer that is not what was asked for */
async function sendRound(client: ApiClient, model: string, requests: number): Promise<void> {
  const body = {
    ...{ model, prompt: [1, 2, 3], max_tokens: TOKENS, temperature: 0 },
    ...{ ignore_eos: true, return_token_ids: true },
  };
  const answers = await Promise.all(
    Array.from({ length: requests }, () => client.post<Completion>('/v1/completions', body)),
  );
  for (const { choices, usage } of answers) {
    const [choice] = choices;
    if (
      choice?.finish_reason === 'length' &&
      choice.token_ids.length === TOKENS &&
      usage.completion_tokens === TOKENS
    ) {
      continue;
    }
    throw new RondoError(
      'INTERNAL',
      `${model} answered ${JSON.stringify(choice)} where ${TOKENS} tokens were asked for`,
    );
  }
}
