import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { PassRun, RequestDetail } from '../request-detail.ts';
import { depthColour } from './colour.ts';
import { ms } from './figures.ts';
import {
  endOf,
  lanesOf,
  passAfterKey,
  passKey,
  runFrom,
  slowestToken,
  tellPass,
  timesOf,
} from './pass-lanes.ts';

const LANE = 22;
const BAR = 14;
const AXIS = 24;
const ZOOM_MAX = 64;
const TICK_PX = 110;

interface Props {
  readonly detail: RequestDetail;
  readonly maxDepth: number;
  readonly onClose: () => void;
}

/** A group that the keyboard works in. */
const KEYED = {
  role: 'group',
  tabIndex: 0,
  'aria-label':
    'Passes in time: arrow keys move between them, S goes to the slowest token, plus and minus zoom, Escape closes',
  'aria-describedby': 'chosen-pass',
} as const;

/** The timeline of one request: its spans, and each pass that its rows ran, by worker and depth. */
export function Waterfall({ detail, maxDepth, onClose }: Props) {
  const { spans, events } = detail;
  const ordered = useMemo(() => lanesOf(detail), [detail]);
  const { passes, lanes } = ordered;
  const [chosenKey, setChosenKey] = useState<string>();
  const chosen = passes.find((pass) => passKey(pass) === chosenKey) ?? passes[0];
  const setChosen = (pass: PassRun) => setChosenKey(passKey(pass));
  const [zoom, setZoom] = useState(1);
  const zoomIn = () => setZoom(Math.min(ZOOM_MAX, zoom * 2));
  const zoomOut = () => setZoom(Math.max(1, zoom / 2));
  const [width, setWidth] = useState(600);
  const scroll = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const element = scroll.current!;
    const measure = () => setWidth(element.clientWidth);
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    return () => resized.disconnect();
  }, []);
  useEffect(() => scroll.current?.focus({ preventScroll: true }), []);

  const spanNames = [...new Set(spans.map(({ name }) => name))];
  const lastMs = Math.max(
    detail.total_ms ?? 0,
    ...spans.map(({ end_ms }) => end_ms),
    ...passes.map((pass) => endOf(pass) + (pass.hop_ms ?? 0)),
    0.001,
  );
  const full = Math.max(1, (width - 8) * zoom);
  const x = (at: number) => (at / lastMs) * full;
  const w = (duration: number) => Math.max(1, x(duration));
  const spanY = (index: number) => AXIS + index * LANE;
  const laneY = (index: number) => AXIS + (spanNames.length + index) * LANE;
  const height = laneY(lanes.length) + 6;
  const laneOf = useMemo(
    () => new Map(lanes.flatMap((lane, index) => lane.passes.map((pass) => [pass, index] as const))),
    [lanes],
  );
  const slowest = useMemo(() => slowestToken(passes), [passes]);
  const times = timesOf(passes);

  /** Brings the chosen pass to where it can be seen. */
  useEffect(() => {
    const element = scroll.current!;
    if (!chosen) return;
    const [from, to] = [x(chosen.start_ms), x(endOf(chosen))];
    if (from < element.scrollLeft || to > element.scrollLeft + element.clientWidth)
      element.scrollLeft = from - element.clientWidth / 3;
  }, [chosenKey, zoom]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = chosen && passAfterKey(event.key, chosen, ordered);
    if (next) setChosen(next);
    else if (event.key === '+' || event.key === '=') zoomIn();
    else if (event.key === '-') zoomOut();
    else if (event.key === 's' && slowest) setChosen(slowest.pass);
    else if (event.key === 'Escape') onClose();
    else return;
    event.preventDefault();
  };

  return (
    <div class="waterfall" id="request-detail">
      <div class="waterfall-head">
        <dl>
          <Fact name="request" value={detail.id} />
          <Fact name="trace" value={detail.trace_id ?? 'not sampled'} />
        </dl>
        <span class="grow" />
        <button type="button" onClick={zoomOut} disabled={zoom === 1} aria-label="Zoom out">
          −
        </button>
        <button type="button" onClick={zoomIn} aria-label="Zoom in">
          +
        </button>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      <p class="times">
        <span>
          waited for steps <b>{ms(times.waited)}</b>
        </span>
        <span>
          ran <b>{ms(times.ran)}</b>
        </span>
        <span>
          hops <b>{ms(times.hopped)}</b>
        </span>
        {slowest && (
          <button type="button" class="link" onClick={() => setChosen(slowest.pass)}>
            slowest token {slowest.token}: {ms(slowest.ms)}
          </button>
        )}
        {detail.truncated && <span>only the first {passes.length} passes are kept</span>}
      </p>
      <div class="lanes-of-passes">
        <ul class="lane-names" style={{ 'padding-top': `${AXIS}px` }}>
          {spanNames.map((name) => (
            <li key={name}>{name}</li>
          ))}
          {lanes.map(({ worker, depth }) => (
            <li key={`${worker} ${depth}`}>
              {worker}{' '}
              <i class="swatch" style={{ background: depthColour(depth, maxDepth) }} aria-hidden="true" />{' '}
              {depth}
            </li>
          ))}
        </ul>
        <div ref={scroll} class="scroll" {...KEYED} {...{ onKeyDown }}>
          <svg width={full + 6} height={height} aria-hidden="true">
            {ticksOf(lastMs, full).map((at) => (
              <g key={at} class="tick">
                <line x1={x(at)} x2={x(at)} y1={AXIS - 6} y2={height} />
                <text x={x(at) + 3} y={AXIS - 10}>
                  {at >= 1000 ? `${at / 1000} s` : `${Number(at.toPrecision(6))} ms`}
                </text>
              </g>
            ))}
            {spans.map((span, index) => (
              <rect
                key={index}
                class="span"
                data-span={span.name}
                x={x(span.start_ms)}
                y={spanY(spanNames.indexOf(span.name)) + 4}
                width={w(span.end_ms - span.start_ms)}
                height={BAR}
                rx={2}
              >
                <title>{`${span.name}: ${ms(span.end_ms - span.start_ms)} from ${ms(span.start_ms)}`}</title>
              </rect>
            ))}
            {passes.map((pass, index) => (
              <Pass
                key={index}
                pass={pass}
                y={laneY(laneOf.get(pass)!) + 4}
                x={x}
                w={w}
                colour={depthColour(pass.depth, maxDepth)}
                chosen={pass === chosen}
                onChoose={setChosen}
              />
            ))}
            {events.map(({ at_ms, name, attributes }, index) => (
              <line key={index} class="event" x1={x(at_ms)} x2={x(at_ms)} y1={AXIS} y2={height}>
                <title>{`${name} ${JSON.stringify(attributes)}`}</title>
              </line>
            ))}
          </svg>
        </div>
      </div>
      <p id="chosen-pass" class="chosen" aria-live="polite">
        {chosen ? tellPass(chosen) : 'No pass of this request was recorded.'}
      </p>
      {events.length > 0 && (
        <ul class="events">
          {events.map(({ at_ms, name, attributes }, index) => (
            <li key={index}>
              <b>{ms(at_ms)}</b> {name}{' '}
              <span class="quiet">
                {Object.entries(attributes)
                  .map(([key, value]) => `${key} ${value}`)
                  .join(', ')}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const Fact = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>
      <code>{value}</code>
    </dd>
  </div>
);

interface PassProps {
  readonly pass: PassRun;
  readonly y: number;
  readonly x: (at: number) => number;
  readonly w: (duration: number) => number;
  readonly colour: string;
  readonly chosen: boolean;
  readonly onChoose: (pass: PassRun) => void;
}

/** Faint while its rows waited, full while they ran, a line while their states travelled on. */
function Pass({ pass, y, x, w, colour, chosen, onChoose }: PassProps) {
  const hop = pass.hop_ms ?? 0;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys do the same
    <g
      class="pass"
      data-token={pass.token ?? 'prompt'}
      data-chosen={chosen}
      fill={colour}
      onClick={() => onChoose(pass)}
    >
      <rect x={x(pass.start_ms)} y={y} width={Math.max(0, x(pass.wait_ms))} height={BAR} opacity={0.28} />
      <rect class="run" x={x(runFrom(pass))} y={y} width={w(pass.run_ms)} height={BAR} rx={1.5} />
      {hop > 0 && <rect x={x(endOf(pass))} y={y + BAR / 2 - 1} width={w(hop)} height={2} opacity={0.7} />}
      {pass.exited && <circle cx={x(endOf(pass))} cy={y + BAR / 2} r={2.6} class="exit" />}
      <title>{tellPass(pass)}</title>
    </g>
  );
}

/** Round times about `TICK_PX` apart. */
function ticksOf(lastMs: number, width: number): readonly number[] {
  const least = (lastMs * TICK_PX) / width;
  const magnitude = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((each) => each >= least)!;
  return Array.from({ length: Math.floor(lastMs / step) + 1 }, (_, index) => index * step);
}
