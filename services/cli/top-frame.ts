import { type LiveFrame, ratesBetween } from '@rondo/coordinator';

/** One screen of `rondo top`, each line at most `columns` wide: the rates are those between `before` and `frame`. */
export function topFrame(frame: LiveFrame, before: LiveFrame, columns: number): string {
  const rates = ratesBetween(before, frame);
  const ms = (value: number | null) => (value === null ? '-' : `${value.toFixed(0)} ms`);
  const depths = rates.depths.map(
    (rows, depth) =>
      `depth ${depth}  ${rows.toFixed(0).padStart(6)} rows/s  ${frame.exits[depth]} tokens left`,
  );
  const workers = rates.workers.map(({ worker, rowsPerStep }) => {
    const { id, state, faults, sequences, kvShare } = worker;
    const trust = faults > 0 ? `, ${faults} faults` : '';
    return `${id}  ${state}${trust}  KV ${(100 * kvShare).toFixed(0)} %  ${sequences} sequences  ${rowsPerStep.toFixed(1)} rows/step`;
  });
  return [
    `${frame.models.join(', ')}  ${frame.running} running, ${frame.waiting} waiting`,
    `${rates.tokens.toFixed(0)} tokens/s  first token ${ms(frame.firstTokenMs)}  token to token ${ms(frame.betweenTokensMs)}`,
    '',
    ...depths,
    '',
    ...workers,
  ]
    .map((line) => `${line.slice(0, columns)}\n`)
    .join('');
}
