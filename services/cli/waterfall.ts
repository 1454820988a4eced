import type { PassRun, RequestDetail, RequestSpan } from '@rondo/coordinator';

export interface WaterfallOptions {
  /** Columns of the terminal. */
  readonly columns: number;
  /** Whether it shows colours. */
  readonly colours: boolean;
  /** A line for every pass, not only for the slowest of each stretch. */
  readonly passes: boolean;
}

interface Line {
  readonly label: string;
  /** Marks in time: a character from one moment to another, in milliseconds since the request came in. */
  readonly marks: readonly { readonly sign: string; readonly fromMs: number; readonly toMs: number }[];
  readonly note: string;
  readonly colour?: number | undefined;
}

const LABEL_COLUMNS = 26;
const NOTE_COLUMNS = 52;
const BAR_COLUMNS_MIN = 10;
/** Of the depths, in turn: the terminal's own. */
const COLOURS = [36, 32, 33, 35, 34, 31];

/** One request as lines of text, none wider than the terminal: a line for each stretch, and for its passes. */
export function waterfall(detail: RequestDetail, { columns, colours, passes }: WaterfallOptions): string {
  const lines = linesOf(detail, passes);
  const wholeMs = Math.max(
    detail.total_ms ?? 0,
    ...lines.flatMap(({ marks }) => marks.map(({ toMs }) => toMs)),
    Number.MIN_VALUE,
  );
  const width = Math.max(BAR_COLUMNS_MIN, columns - LABEL_COLUMNS - NOTE_COLUMNS - 2);
  const text = lines.map((line) => {
    const label = line.label.slice(0, LABEL_COLUMNS).padEnd(LABEL_COLUMNS);
    const cut = `${label} ${bar(line, wholeMs, width)} ${line.note}`.slice(0, columns).trimEnd();
    return colours && line.colour !== undefined ? `\x1b[${line.colour}m${cut}\x1b[0m` : cut;
  });
  return `${[...headOf(detail).map((line) => line.slice(0, columns)), ...text].join('\n')}\n`;
}

function headOf(detail: RequestDetail): string[] {
  const { id, model, state, finish_reason, prompt_tokens, completion_tokens, passes, workers } = detail;
  const ended = finish_reason === null ? state : `${state} (${finish_reason})`;
  return [
    `request ${id}  model ${model}  ${ended}`,
    `trace ${detail.trace_id ?? 'not sampled'}  workers ${workers.join(', ') || 'none'}`,
    `${prompt_tokens} prompt tokens, ${completion_tokens} generated, ${passes} passes  first token ${ms(detail.ttft_ms)}  total ${ms(detail.total_ms)}`,
    ...(detail.passes_run.length === 0
      ? ['its passes are not known: nobody asked for them when it ran']
      : []),
    ...(detail.truncated ? ['only the first of its passes are kept'] : []),
    '',
  ];
}

function linesOf({ spans, passes_run: all, events }: RequestDetail, every: boolean): Line[] {
  const lines = spans.flatMap((span) => {
    const { name, start_ms: fromMs, end_ms: toMs } = span;
    const own = all.filter((pass) => belongs(pass, span));
    const shown = every ? own : own.toSorted((a, b) => spent(b) - spent(a)).slice(0, 1);
    const note = `${ms(toMs - fromMs)} from ${ms(fromMs)}`;
    const stretch: Line = { label: labelOf(span), marks: [{ sign: '▒', fromMs, toMs }], note };
    return name === 'queue' || name === 'place' ? [stretch] : [stretch, ...shown.map(passLine)];
  });
  const told = events.map(({ at_ms, name, attributes }): Line => {
    const note = Object.entries(attributes).map(([key, value]) => `${key.replace('rondo.', '')} ${value}`);
    return { label: name, marks: [{ sign: '!', fromMs: at_ms, toMs: at_ms }], note: note.join(', ') };
  });
  return [...lines, ...told];
}

function labelOf({ name, attributes }: RequestSpan): string {
  if (name === 'decode') return `token ${attributes['rondo.token']}`;
  if (name !== 'prefill') return name;
  const rows = attributes['rondo.rows'];
  const what = attributes['rondo.replay'] === true ? 'replay' : 'prefill';
  return rows === undefined ? what : `${what}, ${rows} rows at ${attributes['rondo.position']}`;
}

/** Whether a pass ran within a stretch and for what that is about. */
function belongs(pass: PassRun, { name, start_ms, end_ms, attributes }: RequestSpan): boolean {
  if (name === 'decode') return pass.token === attributes['rondo.token'] && pass.start_ms >= start_ms;
  const position = Number(attributes['rondo.position']);
  const within = pass.position >= position && pass.position < position + Number(attributes['rondo.rows']);
  return name === 'prefill' && within && pass.start_ms >= start_ms && pass.start_ms <= end_ms;
}

const spent = ({ wait_ms, run_ms, hop_ms }: PassRun): number => wait_ms + run_ms + (hop_ms ?? 0);

function passLine(pass: PassRun): Line {
  const { depth, worker, start_ms: readyMs, wait_ms, run_ms, hop_ms, step_rows, step_depths, signal } = pass;
  const [runsMs, endMs] = [readyMs + wait_ms, readyMs + wait_ms + run_ms];
  const beside = `${step_rows} rows, depths ${step_depths.join(' ')}`;
  const hop = hop_ms === null ? '' : `, hop ${ms(hop_ms)}`;
  const exit = pass.exited ? `, left at ${signal?.toFixed(3) ?? 'its last pass'}` : '';
  return {
    label: `  pass ${depth} on ${worker}`,
    marks: [
      { sign: '░', fromMs: readyMs, toMs: runsMs },
      { sign: '─', fromMs: endMs, toMs: endMs + (hop_ms ?? 0) },
      { sign: '█', fromMs: runsMs, toMs: endMs },
    ],
    note: `wait ${ms(wait_ms)}, run ${ms(run_ms)}${hop}${exit}  (${beside})`,
    colour: COLOURS[depth % COLOURS.length],
  };
}

/** Later marks cover earlier ones, and each that is not empty shows. */
function bar({ marks }: Line, wholeMs: number, width: number): string {
  const cells = Array<string>(width).fill(' ');
  const cell = (atMs: number) => Math.min(width - 1, Math.max(0, Math.floor((atMs / wholeMs) * width)));
  for (const { sign, fromMs, toMs } of marks) {
    if (toMs > fromMs || sign === '!') cells.fill(sign, cell(fromMs), cell(toMs) + 1);
  }
  return cells.join('');
}

const ms = (value: number | null): string =>
  value === null
    ? '-'
    : value >= 1000
      ? `${(value / 1000).toFixed(2)} s`
      : `${value.toFixed(value < 10 ? 2 : 0)} ms`;
