import { rowsOf } from './batch.ts';
import type { ReadyChunk, StepView } from './step-policy.ts';

/**
 * How much more a wait counts for a token that takes long: by this power of the passes that it is expected to take, to the average
 * token's. What is long makes the tail.
 */
const TAIL_POWER = 5;
/** One other counts as two: its way out and in lie between runs as well and take about as long as its row. */
const OTHERS_LEAST = 2;

/**
 * Those decoding rows inside the loop that run without the others, whatever these wait for, because that is better for all together.
 * Rows whose tokens take more passes than the average: if L of them go ahead of k others, each is spared k·rowMs, and each of the others
 * waits for fixedMs + L·rowMs, for good: a sequence that is behind stays behind. In sum k·fixedMs is lost, so that it pays only where
 * their waits count for more: Σ (weight − 1)·rowMs > fixedMs. They count for more the longer the others' rows are beside a run, k·rowMs/fixedMs:
 * where runs cost more than rows, mixing is what there is to win. Where all tokens take equally many passes none go ahead, nor past
 * rows of prompts alone: whoever goes ahead of a prompt rides with it later, for as many passes.
 * Else rows in their last pass, which costs one run and then they are in step with the others: where both runs are so full that a
 * row costs more than its shares of them, rowMs > fixedMs/L + fixedMs/k.
 * With either go those chunks of prompts inside that cost them less than the run of the others that a chunk would wait for. No
 * background rows: they can wait.
 */
export function rowsAhead<Ready extends ReadyChunk>(
  ready: readonly Ready[],
  { costs, expectedPasses }: Pick<StepView<Ready>, 'costs' | 'expectedPasses'>,
): readonly Ready[] {
  if (!costs || !expectedPasses) return [];
  const { fixedMs, rowMs } = costs;
  const inside = ready.filter(
    ({ phase, passesHere, background }) => phase === 'block' && passesHere > 0 && !background,
  );
  const decoding = inside.filter(({ decodes }) => decodes);
  const lateness = ({ passes }: Ready) => expectedPasses[passes]! / expectedPasses[0]!;
  const late = decoding.filter((chunk) => lateness(chunk) > 1);
  const last = decoding.filter(({ passes }) => passes === expectedPasses.length - 1);
  const others = ready.filter(({ decodes }) => decodes).length - late.length;
  const sparedMs = Math.max(others, OTHERS_LEAST) * rowMs;
  const weight = (chunk: Ready) => (sparedMs / fixedMs) * lateness(chunk) ** TAIL_POWER;
  const lateIsWorthMs = rowMs * late.reduce((sum, chunk) => sum + weight(chunk) - 1, 0);
  let ahead: readonly Ready[] = [];
  if (lateIsWorthMs > fixedMs && others > 0) ahead = late;
  else if (rowMs > fixedMs / last.length + fixedMs / (ready.length - last.length)) ahead = last;
  if (ahead.length === 0) return [];
  const prompts = inside.filter(({ decodes }) => !decodes);
  const untilNextMs = fixedMs + rowMs * (rowsOf(ready) - rowsOf(ahead) - rowsOf(prompts));
  return [...ahead, ...prompts.filter(({ rows }) => ahead.length * rowMs * rows < untilNextMs)];
}
