import { useEffect, useRef, useState } from 'preact/hooks';
import { get, Refused } from './api.ts';
import { clock, ms } from './figures.ts';
import type { RequestDetail, RequestSummary } from './requests.ts';
import { Waterfall } from './waterfall.tsx';

const EVERY_MS = 1500;

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
                <th scope="col">request</th>
                <th scope="col">state</th>
                <th scope="col" class="wide">
                  started
                </th>
                <th scope="col" class="number wide">
                  prompt
                </th>
                <th scope="col" class="number">
                  tokens
                </th>
                <th scope="col" class="number wide">
                  passes
                </th>
                <th scope="col" class="number wide">
                  first token
                </th>
                <th scope="col" class="number">
                  total
                </th>
                <th scope="col" class="wide">
                  time
                </th>
                <th scope="col" class="wide">
                  workers
                </th>
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
                    <span class="spent" aria-hidden="true">
                      <i style={{ width: `${(100 * (request.ttft_ms ?? spent(request))) / longest}%` }} />
                      <i
                        style={{
                          width: `${(100 * (spent(request) - (request.ttft_ms ?? spent(request)))) / longest}%`,
                        }}
                      />
                    </span>
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
