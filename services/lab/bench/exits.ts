import { fileURLToPath } from 'node:url';
import { evaluate } from '../eval/evaluation.ts';
import { metricValue } from '../eval/metrics.ts';
import { openSuite } from '../eval/suite.ts';
import { benchBundle } from './bench-bundle.ts';
import type { Plot, Row, Suite } from './suite.ts';

const SUITE = fileURLToPath(new URL('../eval/suites/exits.yaml', import.meta.url));
/** What `make run` serves, in f32: what a row loses by leaving is to be seen, not what rounding costs. */
const SERVED = { precision: 'f32', loopLayers: { first: 4, last: 7 }, loops: 2, damping: 0.5 } as const;

/** What an exit costs and saves on the model that `make run` serves, to choose a threshold by. */
export const exits: Suite = {
  name: 'exits',
  summary: 'quality of the served model against passes spent, by policy and threshold of its exits',
  page: 'RESULTS.md',
  async run(context) {
    const suite = await openSuite(SUITE);
    const a = await benchBundle(context, { precision: 'f32' });
    const b = await benchBundle(context, SERVED);
    const { threads, signal } = context;
    const settings = context.quick
      ? {
          ...suite.settings,
          windows: { ...suite.settings.windows, max: 4 },
          exits: { ...suite.settings.exits, windows: 4 },
        }
      : suite.settings;
    const { positions, stride } = settings.windows;
    const { bs } = await evaluate({
      a,
      bs: [b],
      suite: { ...suite, settings },
      threads,
      signal,
      onProgress: (done, total) => context.progress(`${done} of ${total}`),
    });
    const rows = bs[0]!.cells.map(({ exit, scores }): Row => {
      const threshold = exit.kind === 'threshold';
      return {
        policy: threshold ? exit.policy : 'none',
        threshold: threshold ? exit.threshold : '',
        'passes per token': threshold ? metricValue('passes', scores) : exit.passes,
        perplexity: metricValue('perplexity', scores),
        'agreement %': 100 * metricValue('agreement', scores),
        'KL, nats': metricValue('kl', scores),
      };
    });
    return {
      rows,
      goals: [],
      plots: [passesPlot],
      notes: [
        `SmolLM2-135M-Instruct in f32, layers 4 to 7 applied twice in half steps, as \`make run\` loops it. Of each of ${settings.exits.windows} windows ${stride} tokens are scored, given up to ${positions - stride} before them (the first of a text: what its tokenizer begins a text with). The last row of what is given, which says the first of them, runs every pass; those after it are decoded one by one and leave when the policy says so; \`none\` is all rows after one pass, or two. Agreement and KL are held against the unlooped checkpoint.`,
      ],
    };
  },
};

const passesPlot: Plot = {
  name: 'passes',
  title: 'KL from the unlooped model by passes spent per token',
  spec: {
    width: 420,
    height: 260,
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'passes per token', type: 'quantitative', scale: { zero: false } },
      y: { field: 'KL, nats', type: 'quantitative' },
      color: { field: 'policy', type: 'nominal' },
    },
  },
};
