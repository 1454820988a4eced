import type { LiveFrame } from '../live-frame.ts';
import type { LiveRates } from '../live-rates.ts';
import { depthColour } from './colour.ts';
import type { Sample } from './history.ts';
import { longList } from './long-list.ts';

/** Frames that a lane's little curve shows, half a minute. */
const SHOWN = 60;

interface Props {
  readonly frame: LiveFrame;
  readonly rates: LiveRates;
  readonly samples: readonly Sample[];
}

/** One lane for each worker: what it holds, what it ran of each depth just now, how full its steps were. */
export function Workers({ frame, rates, samples }: Props) {
  const most = Math.max(1, ...rates.workers.map(({ depths }) => sum(depths)));
  const several = frame.models.length > 1;
  if (rates.workers.length === 0) return <p class="quiet">No worker is here.</p>;
  return (
    <ul class="lanes" {...longList(rates.workers.length)}>
      {rates.workers.map(({ worker, rowsPerStep, depths }) => (
        <li key={worker.id}>
          <div class="lane-head">
            <strong>{worker.id}</strong>
            <span class="badge" data-state={worker.state}>
              {worker.state}
            </span>
            {worker.faults > 0 && (
              <span class="badge" data-state="failed">
                {worker.faults} {worker.faults === 1 ? 'fault' : 'faults'}
              </span>
            )}
            {several && <span class="quiet">{worker.model}</span>}
            <span class="grow" />
            <span class="quiet">
              {worker.sequences} {worker.sequences === 1 ? 'sequence' : 'sequences'}
            </span>
          </div>
          <div
            class="bar"
            role="img"
            aria-label={`${worker.id} ran ${sum(depths).toFixed(0)} rows a second: ${depths
              .map((rows, depth) => `${rows.toFixed(0)} at depth ${depth}`)
              .join(', ')}`}
          >
            {depths.map((rows, depth) => (
              <span
                key={depth}
                style={{ width: `${(100 * rows) / most}%`, background: depthColour(depth, frame.maxDepth) }}
              />
            ))}
          </div>
          <div class="lane-foot">
            <span>
              <b>{sum(depths).toFixed(0)}</b> rows/s
            </span>
            <span>
              <b>{rowsPerStep.toFixed(1)}</b> rows/step
            </span>
            <Spark
              values={samples.slice(-SHOWN).map(({ workers }) => workers.get(worker.id)?.rowsPerStep ?? 0)}
            />
            <span class="kv">
              KV <b>{(100 * worker.kvShare).toFixed(0)} %</b>
            </span>
            <meter max={1} value={worker.kvShare} aria-label={`KV memory held on ${worker.id}`} />
          </div>
        </li>
      ))}
    </ul>
  );
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function Spark({ values }: { values: readonly number[] }) {
  const most = Math.max(1, ...values);
  const points = values.map((value, index) => `${index},${(15 - (14 * value) / most).toFixed(1)}`);
  return (
    <svg class="spark" viewBox={`0 0 ${SHOWN - 1} 16`} preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
