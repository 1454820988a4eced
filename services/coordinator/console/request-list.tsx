import { useEffect, useRef, useState } from 'preact/hooks';
import type { RequestDetail, RequestSummary } from '../request-detail.ts';
import { get, Refused } from './api.ts';
import { clock, ms } from './figures.ts';
import { Waterfall } from './waterfall.tsx';

const EVERY_MS = 1500;

/** What a column is called and how it looks; `wide` ones leave first where there is no room. */
const COLUMNS: readonly (readonly [name: string, look: string])[] = [
  ['request', ''],
  ['state', ''],
  ['started', 'wide'],
  ['prompt', 'number wide'],
  ['tokens', 'number'],
  ['passes', 'number wide'],
  ['first token', 'number wide'],
  ['total', 'number'],
  ['time', 'wide'],
  ['workers', 'wide'],
];

/**
 * What the server tells at `path`, asked anew while `active`; undefined before the first answer, null when there is none to have.
 */
function usePolled<T>(path: string | undefined, active: boolean): T | null | undefined {
  const [state, setState] = useState<{ readonly path: string | undefined; readonly value: T | null }>();
  useEffect(() => {
    if (path === undefined) return;
    const gone = new AbortController();
    const ask = async () => {
      if (document.hidden) return;
      try {
        setState({ path, value: await get<T>(path, gone.signal) });
      } catch (error) {
        if (error instanceof Refused && error.status === 404) setState({ path, value: null });
      }
    };
    if (state?.path !== path || active) void ask();
    const timer = active ? setInterval(() => void ask(), EVERY_MS) : undefined;
    return () => {
      clearInterval(timer);
      gone.abort();
    };
  }, [path, active]);
  return state?.path === path ? state?.value : undefined;
}

/** The recent requests; one of them opens into its timeline. */
export function RequestList({ maxDepth, alive }: { maxDepth: number; alive: boolean }) {
  const listed = usePolled<{ readonly requests: readonly RequestSummary[] }>('/console/requests', alive);
  const [chosen, setChosen] = useState<string>();
  const body = useRef<HTMLTableSectionElement>(null);
  // A coordinator without this list.
  if (listed === null) return null;
  const requests = listed?.requests ?? [];
  const longest = Math.max(1, ...requests.map(spent));

  const focusButton = (step: number) => {
    const buttons = [...body.current!.querySelectorAll('button')];
    const place = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[Math.max(0, Math.min(buttons.length - 1, place + step))]?.focus();
  };
  const close = () => {
    body.current?.querySelector<HTMLButtonElement>('[aria-expanded="true"]')?.focus();
    setChosen(undefined);
  };

  return (
    <section aria-labelledby="requests-title">
      <h2 id="requests-title">
        Requests <span class="hint">arrow keys move, Enter opens</span>
      </h2>
      {requests.length === 0 ? (
        <p class="quiet">None yet: send a message above.</p>
      ) : (
        <div class="table">
          <table>
            <thead>
              <tr>
                {COLUMNS.map(([name, look]) => (
                  <th key={name} scope="col" class={look}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody
              ref={body}
              onKeyDown={(event) => {
                if (event.key === 'ArrowDown') focusButton(1);
                else if (event.key === 'ArrowUp') focusButton(-1);
                else if (event.key === 'Escape') close();
                else return;
                event.preventDefault();
              }}
            >
              {requests.map((request) => (
                <tr key={request.id} data-chosen={request.id === chosen}>
                  <td>
                    <button
                      type="button"
                      class="link"
                      aria-expanded={request.id === chosen}
                      title={request.id}
                      onClick={() => setChosen(request.id === chosen ? undefined : request.id)}
                    >
                      {short(request.id)}
                    </button>
                  </td>
                  <td>
                    <span class="badge" data-state={request.state}>
                      {request.finish_reason ?? request.state}
                    </span>
                  </td>
                  <td class="wide quiet">{clock(request.started_ms)}</td>
                  <td class="number wide">{request.prompt_tokens}</td>
                  <td class="number">{request.completion_tokens}</td>
                  <td class="number wide">{request.passes}</td>
                  <td class="number wide">{ms(request.ttft_ms)}</td>
                  <td class="number">{ms(request.total_ms)}</td>
                  <td class="wide">
                    <Spent request={request} longest={longest} />
                  </td>
                  <td class="wide quiet">{request.workers.join(', ')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {chosen !== undefined && <Detail key={chosen} id={chosen} maxDepth={maxDepth} onClose={close} />}
    </section>
  );
}

const spent = ({ total_ms, started_ms }: RequestSummary) => total_ms ?? Math.max(0, Date.now() - started_ms);

/** The time to the first token, and the rest, beside the longest of all. */
function Spent({ request, longest }: { request: RequestSummary; longest: number }) {
  const whole = spent(request);
  const first = request.ttft_ms ?? whole;
  const width = (part: number) => ({ width: `${(100 * part) / longest}%` });
  return (
    <span class="spent" aria-hidden="true">
      <i style={width(first)} />
      <i style={width(whole - first)} />
    </span>
  );
}

const short = (id: string) => (id.length > 9 ? `${id.slice(0, 8)}…` : id);

function Detail({ id, maxDepth, onClose }: { id: string; maxDepth: number; onClose: () => void }) {
  const [running, setRunning] = useState(true);
  const detail = usePolled<RequestDetail>(`/console/requests/${encodeURIComponent(id)}`, running);
  const state = detail?.state;
  useEffect(() => setRunning(state === undefined || state === 'running'), [state]);
  if (detail === undefined) return <p class="quiet">Loading.</p>;
  if (detail === null) return <p class="quiet">This request is no longer kept.</p>;
  return <Waterfall detail={detail} maxDepth={maxDepth} onClose={onClose} />;
}
