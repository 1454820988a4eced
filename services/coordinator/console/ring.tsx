import { useEffect, useRef } from 'preact/hooks';
import type { LiveFrame } from '../live-frame.ts';
import type { LiveRates } from '../live-rates.ts';
import { depthColour } from './colour.ts';
import { longList } from './long-list.ts';
import { RingRows } from './ring-rows.ts';

const SIZE = 320;
const MIDDLE = SIZE / 2;
const RADIUS = 112;

interface Props {
  readonly frame: LiveFrame;
  readonly rates: LiveRates;
}

/** The loop as a ring of depths: rows enter at the top, move round, and leave where their tokens do. */
export function Ring({ frame, rates }: Props) {
  const { maxDepth } = frame;
  const canvas = useRef<HTMLCanvasElement>(null);
  const rows = useRef<RingRows | undefined>(undefined);

  useEffect(() => {
    const made = new RingRows(canvas.current!, maxDepth, { size: SIZE, radius: RADIUS });
    rows.current = made;
    return () => made.stop();
  }, [maxDepth]);
  useEffect(() => rows.current?.add(rates), [rates]);

  const most = Math.max(1, ...rates.depths);
  const part = (2 * Math.PI) / maxDepth;
  const gap = maxDepth > 1 ? Math.min(0.05, part / 6) : 0.0005;
  const at = (angle: number, radius = RADIUS) =>
    `${(MIDDLE + radius * Math.sin(angle)).toFixed(2)} ${(MIDDLE - radius * Math.cos(angle)).toFixed(2)}`;
  const told = rates.depths.map((count, depth) => `depth ${depth} ${count.toFixed(0)} rows a second`);
  return (
    <>
      <div class="ring">
        <svg viewBox={`0 0 ${SIZE} ${SIZE}`} role="img" aria-label={`The loop: ${told.join(', ')}`}>
          {rates.depths.map((count, depth) => (
            <path
              key={depth}
              d={`M${at(depth * part + gap)}A${RADIUS} ${RADIUS} 0 ${part > Math.PI ? 1 : 0} 1 ${at((depth + 1) * part - gap)}`}
              stroke={depthColour(depth, maxDepth)}
              stroke-opacity={0.16 + (0.44 * count) / most}
            />
          ))}
          {maxDepth <= 12 &&
            rates.depths.map((_count, depth) => {
              const [x, y] = at((depth + 0.5) * part, RADIUS - 27).split(' ');
              return (
                <text key={depth} x={x} y={y} class="depth" dominant-baseline="central">
                  {depth}
                </text>
              );
            })}
          <text x={MIDDLE} y={MIDDLE + 4} class="rate">
            {rates.tokens.toFixed(0)}
          </text>
          <text x={MIDDLE} y={MIDDLE + 26} class="unit">
            tokens/s
          </text>
        </svg>
        <canvas ref={canvas} />
      </div>
      <Depths frame={frame} rates={rates} />
    </>
  );
}

function Depths({ frame, rates }: Props) {
  const most = Math.max(1, ...rates.depths);
  const left = Math.max(
    1,
    frame.exits.reduce((sum, count) => sum + count, 0),
  );
  return (
    <ol class="depths" {...longList(frame.maxDepth)} aria-label="Rows a second and exits at each depth">
      {rates.depths.map((rows, depth) => {
        const exits = frame.exits[depth] ?? 0;
        return (
          <li key={depth} style={{ '--depth': depthColour(depth, frame.maxDepth) }}>
            <span>depth {depth}</span>
            <span class="track">
              <span style={{ width: `${(100 * rows) / most}%` }} />
            </span>
            <span class="number">{rows.toFixed(0)} rows/s</span>
            <span class="number exits" title={`${exits} tokens left after this depth`}>
              {((100 * exits) / left).toFixed(0)} % left
            </span>
          </li>
        );
      })}
    </ol>
  );
}
