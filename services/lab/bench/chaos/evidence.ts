import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TakenStep } from './fault-run.ts';
import type { Sighting } from './health-watch.ts';
import { stepsIn, type Verdict } from './verdict.ts';

export interface Evidence {
  readonly seed: number;
  readonly steps: readonly TakenStep[];
  readonly sightings: readonly Sighting[];
  readonly verdicts: readonly Verdict[];
  /** Added to a time of the monotonic clock it gives Unix time, in milliseconds: the logs' clock. */
  readonly epochMs: number;
}

/** Requests shown at length. */
const SHOWN = 20;

/**
 * Writes into `folder`, beside the logs, what a failing run must be understood by: steps.txt, and wrong.txt with each
 * wrong request, what differed and the steps in its life. Returns the beginning of it as text for the terminal.
 */
export async function keepEvidence(evidence: Evidence, folder: string): Promise<string> {
  const { seed, steps, sightings, verdicts, epochMs } = evidence;
  const at = (ms: number) => new Date(epochMs + ms).toISOString().slice(11, 23);
  const stepLine = ({ action, slot, address, atMs, how }: TakenStep) =>
    `${at(atMs)} ${action}${how ? ` (${how})` : ''} ${slot} ${address}`;
  const seenLine = ({ atMs, coordinator, address, serving }: Sighting) =>
    `${at(atMs)}   coordinator-${coordinator}: ${address} ${serving ? 'serves' : 'does not serve'}`;
  const lines = [
    ...steps.map((step) => ({ atMs: step.atMs, line: stepLine(step) })),
    ...sightings.map((sighting) => ({ atMs: sighting.atMs, line: seenLine(sighting) })),
  ].toSorted((a, b) => a.atMs - b.atMs);
  const wrong = verdicts
    .filter((verdict) => verdict.wrong.length > 0)
    .map((verdict) => {
      const { record, coordinator, known } = verdict.sent;
      return [
        `${record.id} on coordinator-${coordinator}, ${at(record.sentMs)} to ${at(record.endedMs)}, ${record.outcome}: ${verdict.wrong.join('; ')}`,
        `  ${known.request.path} ${JSON.stringify({ ...known.request.body, prompt: undefined })}`,
        `  got ${record.choices.map(({ ids }, index) => `${ids.length} of ${known.answer.choices[index]!.ids.length}`).join(', ')} tokens`,
        ...stepsIn(verdict, steps).map((step) => `  ${stepLine(step)}`),
      ].join('\n');
    });
  await writeFile(join(folder, 'steps.txt'), `${lines.map(({ line }) => line).join('\n')}\n`);
  await writeFile(join(folder, 'wrong.txt'), `${wrong.join('\n')}\n`);
  return [
    `seed ${seed}: ${wrong.length} requests went wrong; steps, requests and logs in ${folder}`,
    ...steps.map(stepLine),
    ...wrong.slice(0, SHOWN),
  ].join('\n');
}
