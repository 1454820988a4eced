import type { Bundle } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import type { SuiteContext } from '../suite.ts';
import { compareChoice } from './answer-check.ts';
import { ChaosClient, type ChaosRecord } from './chaos-client.ts';
import type { ChaosRequest } from './chaos-requests.ts';

const HUNG_MS = 60_000;
const AT_ONCE = 16;

/** A request and the answer that it gets from a quiet worker. */
export interface KnownRequest {
  readonly request: ChaosRequest;
  readonly answer: ChaosRecord;
}

export interface Oracle {
  readonly known: readonly KnownRequest[];
  /** Requests whose answer in company was another than alone: two candidates so close that rounding decides. Left out. */
  readonly undecided: number;
}

/** Asks one worker that nothing disturbs and that shares no prompts: each request alone, then all of them side by side. */
export async function askOracle(
  context: SuiteContext,
  bundle: Bundle,
  requests: readonly ChaosRequest[],
): Promise<Oracle> {
  await using server = await context.launch(
    ...['run', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--workers', '1'],
    ...['--threads', '1', '--no-prefix-cache'],
  );
  const client = new ChaosClient(server.ready.replace(/\/$/, ''));
  try {
    const alone = await answers(context, client, requests, 1);
    const together = await answers(context, client, requests, AT_ONCE);
    const known = requests.map((request, index) => ({ request, answer: alone[index]! }));
    const decided = known.filter((_, index) => sameAnswer(together[index]!, alone[index]!));
    return { known: decided, undecided: known.length - decided.length };
  } finally {
    client.close();
  }
}

const sameAnswer = (a: ChaosRecord, b: ChaosRecord): boolean =>
  a.choices.every((choice, index) => compareChoice(choice, b.choices[index]!).first === undefined);

/** Answers in the order of the requests. @throws RondoError ENGINE_FAILED when one does not end well. */
async function answers(
  context: SuiteContext,
  client: ChaosClient,
  requests: readonly ChaosRequest[],
  atOnce: number,
): Promise<ChaosRecord[]> {
  const records: ChaosRecord[] = [];
  let next = 0;
  const run = async () => {
    for (let index = next++; index < requests.length; index = next++) {
      context.signal.throwIfAborted();
      const record = await client.send(requests[index]!, { id: `quiet-${index}`, hungMs: HUNG_MS });
      if (record.outcome !== 'ended') {
        throw new RondoError(
          'ENGINE_FAILED',
          `the quiet worker answered ${record.status} ${record.outcome} to ${JSON.stringify(requests[index]!.body).slice(0, 300)}: ${record.error}`,
        );
      }
      records[index] = record;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, run));
  return records;
}
