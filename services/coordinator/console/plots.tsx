import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { CURVE_COLOURS } from './colour.ts';
import { clock, ms } from './figures.ts';
import { type Curve, type Sample, workerCurves } from './history.ts';
import { useThemeTurns } from './theme.tsx';

const HEIGHT = 150;

/** The last five minutes. */
export function Plots({ samples }: { samples: readonly Sample[] }) {
  const times = samples.map(({ at }) => at);
  const one = (name: string, value: (sample: Sample) => number | null): readonly Curve[] => [
    { name, values: samples.map(value) },
  ];
  const plain = (value: number) => value.toFixed(value < 10 ? 1 : 0);
  const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
  const plots: readonly Omit<PlotProps, 'times'>[] = [
    { title: 'Tokens a second', curves: one('tokens/s', ({ tokens }) => tokens), show: plain },
    { title: 'First token', curves: one('median', ({ firstTokenMs }) => firstTokenMs), show: ms },
    { title: 'Token to token', curves: one('median', ({ betweenTokensMs }) => betweenTokensMs), show: ms },
    { title: 'KV in use', curves: workerCurves(samples, 'kvShare'), show: percent },
    { title: 'Rows in a step', curves: workerCurves(samples, 'rowsPerStep'), show: plain },
  ];
  return (
    <section aria-labelledby="history-title">
      <h2 id="history-title">Last five minutes</h2>
      <div class="plots">
        {plots.map((plot) => (
          <Plot key={plot.title} {...plot} times={times} />
        ))}
      </div>
    </section>
  );
}

interface PlotProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly curves: readonly Curve[];
  readonly show: (value: number) => string;
}

function Plot({ title, times, curves, show }: PlotProps) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const theme = useThemeTurns();
  const names = curves.map(({ name }) => name).join('\n');
  const data = [times, ...curves.map(({ values }) => values)] as uPlot.AlignedData;

  // Other curves or colours need a new plot; new data does not, and is set below.
  useEffect(() => {
    const element = holder.current!;
    const quiet = colourOf(element, '--quiet');
    const line = colourOf(element, '--line');
    const axis = {
      stroke: quiet,
      grid: { stroke: line, width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        padding: [8, 24, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: 'rondo' }, points: { size: 6 }, drag: { x: false, y: false } },
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(high * 1.1, 0.001)] } },
        axes: [
          { ...axis, space: 70, size: 26, values: (_plot, at) => at.map((seconds) => clock(1000 * seconds)) },
          { ...axis, size: 58, space: 32, values: (_plot, at) => at.map(show) },
        ],
        series: [
          {},
          ...curves.map(({ name }, index) => ({
            label: name,
            stroke: CURVE_COLOURS[index % CURVE_COLOURS.length]!,
            width: 1.6,
            points: { show: false },
            ...(curves.length === 1 && { fill: 'oklch(0.62 0.16 255 / 0.14)' }),
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [names, theme]);

  useEffect(() => plot.current?.setData(data));

  const last = curves.map(({ name, values }) => ({ name, value: values.at(-1) ?? null }));
  const told = last.map(({ name, value }) => `${name} ${value === null ? 'unknown' : show(value)}`);
  return (
    <figure>
      <figcaption class="plot-title">
        {title}
        {last.map(({ name, value }, index) => (
          <span key={name}>
            {last.length > 1 && (
              <>
                <i
                  class="swatch"
                  style={{ background: CURVE_COLOURS[index % CURVE_COLOURS.length] }}
                  aria-hidden="true"
                />
                {name}{' '}
              </>
            )}
            <b>{value === null ? '–' : show(value)}</b>
          </span>
        ))}
      </figcaption>
      <div ref={holder} class="plot" role="img" aria-label={`${title}: ${told.join(', ')}`} />
    </figure>
  );
}

/** What a colour of the style sheet is now, for a canvas. */
function colourOf(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = '';
  return color;
}
