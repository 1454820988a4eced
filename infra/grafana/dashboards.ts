/**
 * The dashboards of Grafana as tables; `make dashboards` writes them as JSON beside this file, and `--check` says
 * whether they are up to date. Tests hold each query to what a running cluster tells.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

type Unit =
  | 's'
  | 'percentunit'
  | 'short'
  | 'reqps'
  | 'bytes'
  | 'Bps'
  | 'rows/s'
  | 'tokens/s'
  | 'rows'
  | 'passes';

interface Panel {
  readonly title: string;
  /** Said behind the panel's little i. */
  readonly means: string;
  readonly unit: Unit;
  /** Legend and query of each curve; a heat map has one, without legend. */
  readonly curves: readonly (readonly [legend: string, query: string])[];
  readonly kind?: 'timeseries' | 'heatmap' | 'stat';
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Grafana's own variable: wide enough for two scrapes at any zoom. */
const WINDOW = '[$__rate_interval]';

const rate = (metric: string, by: string) => `sum by (${by}) (rate(${metric}${WINDOW}))`;

/** Median, 95th and 99th percentile of a histogram over all processes; `labels` such as `phase="block"`. */
const quantiles = (histogram: string, labels = ''): Panel['curves'] =>
  [0.5, 0.95, 0.99].map((share) => [
    `p${100 * share}`,
    `histogram_quantile(${share}, sum by (le) (rate(${histogram}_bucket${labels && `{${labels}}`}${WINDOW})))`,
  ]);

/** Mean of a histogram's values by `by`. */
const mean = (histogram: string, by: string) =>
  `sum by (${by}) (rate(${histogram}_sum${WINDOW})) / sum by (${by}) (rate(${histogram}_count${WINDOW}))`;

const heat = (histogram: string, labels = ''): Panel['curves'] => [
  ['', `sum by (le) (increase(${histogram}_bucket${labels && `{${labels}}`}${WINDOW}))`],
];

const DASHBOARDS: readonly Dashboard[] = [
  {
    uid: 'rondo-cluster',
    title: 'Rondo: cluster',
    panels: [
      {
        title: 'Processes up',
        means: 'Workers and coordinators that Prometheus can scrape.',
        ...{ unit: 'short', kind: 'stat', curves: [['up', 'sum(up{job="rondo"})']] },
      },
      {
        title: 'Tokens',
        means: 'Tokens generated, by model.',
        ...{ unit: 'tokens/s', curves: [['{{model}}', rate('rondo_generated_tokens_total', 'model')]] },
      },
      {
        title: 'Sequences',
        means: 'Running: with pages on a worker. Waiting: none has room for them.',
        unit: 'short',
        curves: [
          ['{{model}} running', 'sum by (model) (rondo_sequences_running)'],
          ['{{model}} waiting', 'sum by (model) (rondo_sequences_waiting)'],
        ],
      },
      {
        title: 'HTTP answers',
        means: 'By status; 429 says that the cluster is full.',
        ...{ unit: 'reqps', curves: [['{{status}}', rate('rondo_http_requests_total', 'status')]] },
      },
      {
        title: 'K and V in use',
        means: 'Share of each worker’s pages that sequences hold; cached pages count as free.',
        unit: 'percentunit',
        curves: [
          ['{{worker}}', 'sum by (worker) (rondo_kv_pages{state="used"}) / sum by (worker) (rondo_kv_pages)'],
        ],
      },
      {
        title: 'Sequences on each worker',
        means: 'Sequences that live on a worker or run passes on it.',
        ...{ unit: 'short', curves: [['{{worker}}', 'sum by (worker) (rondo_worker_sequences)']] },
      },
      {
        title: 'Sequences that moved',
        means: 'To another worker, by what was wrong with theirs.',
        ...{
          unit: 'short',
          curves: [['{{cause}}', 'sum by (cause) (increase(rondo_recoveries_total[5m]))']],
        },
      },
      {
        title: 'Tokens run again',
        means: 'Rows that another worker had to run once more after a loss.',
        ...{ unit: 'tokens/s', curves: [['{{model}}', rate('rondo_recomputed_tokens_total', 'model')]] },
      },
      {
        title: 'Spans',
        means:
          'Of traces: exported, dropped because too many waited, or failed to export; none without OTLP.',
        ...{ unit: 'reqps', curves: [['{{outcome}}', rate('rondo_trace_spans_total', 'outcome')]] },
      },
      {
        title: 'Event loop delay',
        means: '99th percentile in each process: above some ten milliseconds, tokens wait for JavaScript.',
        ...{ unit: 's', curves: [['{{instance}}', 'max by (instance) (nodejs_eventloop_lag_p99_seconds)']] },
      },
      {
        title: 'Memory',
        means: 'Resident memory of each process.',
        ...{ unit: 'bytes', curves: [['{{instance}}', 'max by (instance) (process_resident_memory_bytes)']] },
      },
    ],
  },
  {
    uid: 'rondo-request',
    title: 'Rondo: request',
    panels: [
      {
        title: 'Time to first token',
        means: 'From arrival at the coordinator.',
        ...{ unit: 's', curves: quantiles('rondo_time_to_first_token_seconds') },
      },
      {
        title: 'Prompt',
        means: 'From the opening on a worker to the first token.',
        ...{ unit: 's', curves: quantiles('rondo_prefill_seconds') },
      },
      {
        title: 'Answer',
        means: 'From the first token to the end.',
        ...{ unit: 's', curves: quantiles('rondo_decode_seconds') },
      },
      {
        title: 'Token to token',
        means: 'Between two tokens of a sequence, as the coordinator gets them.',
        ...{ unit: 's', curves: quantiles('rondo_inter_token_seconds') },
      },
      {
        title: 'Waiting for a worker',
        means: 'From arrival until a worker has opened the sequence.',
        ...{ unit: 's', curves: quantiles('rondo_queue_seconds') },
      },
      {
        title: 'Whole sequences',
        means: 'From arrival to end.',
        ...{ unit: 's', curves: quantiles('rondo_sequence_seconds') },
      },
      {
        title: 'How sequences end',
        means: 'A finish reason, the code of an error, or aborted by the client.',
        ...{ unit: 'reqps', curves: [['{{reason}}', rate('rondo_sequences_ended_total', 'reason')]] },
      },
      {
        title: 'Prompt and answer',
        means: 'Tokens of opened prompts, and tokens generated.',
        unit: 'tokens/s',
        curves: [
          ['prompt', `sum(rate(rondo_prompt_tokens_total${WINDOW}))`],
          ['answer', `sum(rate(rondo_generated_tokens_total${WINDOW}))`],
        ],
      },
      {
        title: 'Prompts found in the prefix cache',
        means: 'Share of the prompt positions looked for that were there.',
        unit: 'percentunit',
        curves: [
          [
            '{{worker}}',
            `${rate('rondo_prefix_cache_hits_total', 'worker')} / ${rate('rondo_prefix_cache_queries_total', 'worker')}`,
          ],
        ],
      },
      {
        title: 'First token, all of them',
        means: 'How many first tokens took how long.',
        ...{ unit: 's', kind: 'heatmap', curves: heat('rondo_time_to_first_token_seconds') },
      },
    ],
  },
  {
    uid: 'rondo-loop',
    title: 'Rondo: loop',
    panels: [
      {
        title: 'Rows in a step of the block',
        means: 'The fuller, the cheaper each row.',
        ...{ unit: 'rows', kind: 'heatmap', curves: heat('rondo_step_rows', 'phase="block"') },
      },
      {
        title: 'Mean rows in a step',
        means: 'By what ran: prelude, block, coda or head.',
        ...{ unit: 'rows', curves: [['{{phase}}', mean('rondo_step_rows', 'phase')]] },
      },
      {
        title: 'Depths mixed in a step',
        means: 'Different depths of the loop in one run of the block, by worker.',
        ...{ unit: 'short', curves: [['{{worker}}', mean('rondo_step_depths', 'worker')]] },
      },
      {
        title: 'Passes',
        means: 'Passes that ended sequences took, for prompts and for generated rows.',
        ...{ unit: 'rows/s', curves: [['{{kind}}', rate('rondo_passes_total', 'kind')]] },
      },
      {
        title: 'Passes of a token',
        means: 'Mean depth at which rows of answers leave the loop, and what their exit rules allow.',
        unit: 'passes',
        curves: [
          ['{{model}}', mean('rondo_token_passes', 'model')],
          [
            '{{model}} allowed',
            `${rate('rondo_token_passes_allowed_total', 'model')} / ${rate('rondo_token_passes_count', 'model')}`,
          ],
        ],
      },
      {
        title: 'What workers do',
        means:
          'Share of the time in steps, and in bubbles: sequences live or run stages there, and nothing is ready.',
        unit: 'percentunit',
        curves: [
          ['{{worker}} steps', rate('rondo_step_busy_seconds_total', 'worker')],
          ['{{worker}} bubble, {{role}}', rate('rondo_step_bubble_seconds_total', 'worker, role')],
        ],
      },
      {
        title: 'Time of a step in the engine',
        means: 'Inside the graph runtime, mean by what ran.',
        ...{ unit: 's', curves: [['{{phase}}', mean('rondo_step_run_seconds', 'phase')]] },
      },
      {
        title: 'Time of a step around the engine',
        means: 'Building the batch, the way to the engine’s thread, settling the rows.',
        ...{ unit: 's', curves: [['{{phase}}', mean('rondo_step_host_seconds', 'phase')]] },
      },
      {
        title: 'Steps',
        means: 'Engine runs of each worker.',
        ...{ unit: 'reqps', curves: [['{{worker}}', rate('rondo_step_rows_count', 'worker')]] },
      },
      {
        title: 'Time of a hop',
        means: 'From the outbox of one worker to the inbox of another; one frame in 16 is timed.',
        ...{ unit: 's', curves: quantiles('rondo_hop_seconds') },
      },
      {
        title: 'States between workers',
        means: 'Bytes of states that each worker sends to others.',
        ...{ unit: 'Bps', curves: [['{{worker}}', rate('rondo_hop_bytes_total', 'worker')]] },
      },
      {
        title: 'Dropped as stale',
        means: 'Chunks whose sequence or epoch has gone: some after each loss, none otherwise.',
        ...{ unit: 'short', curves: [['{{worker}}', rate('rondo_stale_chunks_total', 'worker')]] },
      },
    ],
  },
];

const SOURCE = { type: 'prometheus', uid: '$' + '{source}' };
const [WIDTH, HEIGHT] = [12, 8];

/** What Grafana's description of a heat map asks for; the values are those of its own editor. */
const heatmapOptions = (unit: Unit) => ({
  calculate: false,
  yAxis: { unit },
  color: {
    mode: 'scheme',
    scheme: 'Oranges',
    fill: 'dark-orange',
    ...{ exponent: 0.5, steps: 64, reverse: false },
  },
  showValue: 'never',
  legend: { show: true },
  tooltip: { mode: 'single' },
  exemplars: { color: 'rgba(255,0,255,0.7)' },
});

function panelJson({ title, means, unit, curves, kind = 'timeseries' }: Panel, index: number): object {
  const heatmap = kind === 'heatmap';
  return {
    id: index + 1,
    title,
    description: means,
    type: kind,
    datasource: SOURCE,
    gridPos: { x: (index % 2) * WIDTH, y: Math.floor(index / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    ...(heatmap && { options: heatmapOptions(unit) }),
    targets: curves.map(([legend, query], curve) => ({
      refId: String.fromCharCode(65 + curve),
      datasource: SOURCE,
      expr: query,
      legendFormat: heatmap ? '{{le}}' : legend,
      ...(heatmap && { format: 'heatmap' }),
    })),
  };
}

/** What Grafana imports: a line for each panel. */
const dashboardJson = ({ uid, title, panels }: Dashboard): string => {
  const head = {
    uid,
    title,
    tags: ['rondo'],
    schemaVersion: 39,
    refresh: '10s',
    time: { from: 'now-30m', to: 'now' },
    annotations: { list: [] },
    templating: { list: [{ name: 'source', label: 'Prometheus', type: 'datasource', query: 'prometheus' }] },
  };
  const fields = Object.entries(head).map(([name, value]) => `  "${name}": ${JSON.stringify(value)},\n`);
  const lines = panels.map((panel, index) => `    ${JSON.stringify(panelJson(panel, index))}`);
  return `{\n${fields.join('')}  "panels": [\n${lines.join(',\n')}\n  ]\n}\n`;
};

if (import.meta.main) {
  const stale = DASHBOARDS.filter((each) => {
    const file = new URL(`./dashboards/${each.uid}.json`, import.meta.url);
    const json = dashboardJson(each);
    if (!process.argv.includes('--check')) writeFileSync(file, json);
    return !existsSync(file) || readFileSync(file, 'utf8') !== json;
  });
  for (const { uid } of stale)
    console.error(`infra/grafana/dashboards/${uid}.json is stale: make dashboards`);
  process.exitCode = stale.length > 0 ? 1 : 0;
}
