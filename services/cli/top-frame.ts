import type { LiveFrame } from '@rondo/coordinator';

/** What a count that rises modulo 2^32 has risen by; one that fell began anew. */
const rise = (now: number, before: number | undefined): number =>
  before === undefined || now < before ? 0 : now - before;

/** One screen of `rondo top`, each line at most `columns` wide: the rates are those between `before` and `frame`. */
export function topFrame(frame: LiveFrame, before: LiveFrame, columns: number): string {
  const seconds = (frame.atMs - before.atMs) / 1000;
  const rate = (now: number, then: number | undefined) => (seconds > 0 ? rise(now, then) / seconds : 0);
  const earlier = new Map(before.workers.map((worker) => [worker.id, worker]));
  const ms = (value: number | null) => (value === null ? '-' : `${value.toFixed(0)} ms`);
  const depths = Array.from({ length: frame.maxDepth }, (_, depth) => {
    const rows = frame.workers.reduce(
      (sum, { id, depthRows }) => sum + rate(depthRows[depth] ?? 0, earlier.get(id)?.depthRows[depth]),
      0,
    );
    return `depth ${depth}  ${rows.toFixed(0).padStart(6)} rows/s  ${frame.exits[depth]} tokens left`;
  });
  const workers = frame.workers.map(({ id, state, faults, sequences, kvShare, runs, depthRows }) => {
    const then = earlier.get(id);
    const ran = rise(runs, then?.runs);
    const rows = depthRows.reduce((sum, count, depth) => sum + rise(count, then?.depthRows[depth]), 0);
    const perStep = (ran > 0 ? rows / ran : 0).toFixed(1);
    const trust = faults > 0 ? `, ${faults} faults` : '';
    return `${id}  ${state}${trust}  KV ${(100 * kvShare).toFixed(0)} %  ${sequences} sequences  ${perStep} rows/step`;
  });
  return [
    `${frame.models.join(', ')}  ${frame.running} running, ${frame.waiting} waiting`,
    `${rate(frame.tokens, before.tokens).toFixed(0)} tokens/s  first token ${ms(frame.firstTokenMs)}  token to token ${ms(frame.betweenTokensMs)}`,
    '',
    ...depths,
    '',
    ...workers,
  ]
    .map((line) => `${line.slice(0, columns)}\n`)
    .join('');
}
