import { Presets, SingleBar } from 'cli-progress';

/** How far a long piece of work is. `stop` leaves the last state on the screen. */
export interface Progress {
  advance(): void;
  /** Sets how much is done; a new total, a new title or a new note may come with it. */
  update(done: number, total: number, title?: string, note?: string): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly unit?: 'bytes' | 'things';
  /** Whoever uses it says the time left, and whatever else, in notes. */
  readonly notes?: boolean;
  /** Standard error by default: standard output carries results only. */
  readonly output?: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

interface State {
  readonly title: string;
  readonly done: number;
  readonly total: number;
  readonly note: string;
}

interface Screen {
  show(state: State): void;
  close(): void;
}

type Amount = (count: number) => string;

/** A bar on a terminal; a line at every tenth elsewhere, so that logs stay readable. */
export function progressBar(title: string, total: number, options: ProgressOptions = {}): Progress {
  const { unit = 'things', notes = false, output = process.stderr } = options;
  const amount: Amount = (count) => (unit === 'bytes' ? `${(count / 1e6).toFixed(1)} MB` : String(count));
  const screen = output.isTTY ? drawnBar(output, amount, notes) : lines(output, amount);
  let state: State = { title, done: 0, total, note: '' };
  const update = (done: number, total: number, title = state.title, note = state.note) => {
    state = { title, done, total, note };
    screen.show(state);
  };
  return { update, advance: () => update(state.done + 1, state.total), stop: () => screen.close() };
}

function drawnBar(output: NodeJS.WritableStream, amount: Amount, notes: boolean): Screen {
  const bar = new SingleBar(
    {
      stream: output,
      hideCursor: true,
      barsize: 30,
      etaBuffer: 50,
      format: `{title} {bar} {percentage} %  {done} of {whole}  ${notes ? '{note}' : '{eta_formatted} left'}`,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    show({ title, done, total, note }) {
      if (!started) bar.start(total, done);
      started = true;
      bar.setTotal(total);
      bar.update(done, { title, done: amount(done), whole: amount(total), note });
    },
    close() {
      if (started) bar.stop();
      started = false;
    },
  };
}

function lines(output: NodeJS.WritableStream, amount: Amount): Screen {
  let [shownTitle, shownTenth] = ['', 0];
  return {
    show({ title, done, total, note }) {
      const tenth = total > 0 ? Math.floor((10 * done) / total) : 0;
      if (title === shownTitle && tenth <= shownTenth) return;
      [shownTitle, shownTenth] = [title, tenth];
      output.write(`${title}: ${tenth * 10} % of ${amount(total)}${note && `, ${note}`}\n`);
    },
    close() {},
  };
}
