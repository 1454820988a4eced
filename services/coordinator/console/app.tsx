import { useEffect, useRef, useState } from 'preact/hooks';
import type { LiveFrame } from '../live-frame.ts';
import { type LiveRates, ratesBetween } from '../live-rates.ts';
import { useKey } from './api.ts';
import { Chat } from './chat.tsx';
import { ms } from './figures.ts';
import { type Sample, sampleOf, withSample } from './history.ts';
import { keyFault } from './key-fault.ts';
import { followFrames, type LinkState } from './live.ts';
import { Plots } from './plots.tsx';
import { RequestList } from './request-list.tsx';
import { Ring } from './ring.tsx';
import { ThemeButton } from './theme.tsx';
import { Workers } from './workers.tsx';

interface Live {
  readonly frame: LiveFrame;
  /** Of the time since the frame before; none at the first. */
  readonly rates: LiveRates;
  readonly samples: readonly Sample[];
}

const STATES: Readonly<Record<LinkState['kind'], string>> = {
  connecting: 'connecting',
  live: 'live',
  'needs-key': 'needs an API key',
  reconnecting: 'reconnecting',
};

/** The whole page. */
export function App() {
  const [link, setLink] = useState<LinkState>({ kind: 'connecting' });
  const [live, setLive] = useState<Live>();
  const [attempt, setAttempt] = useState(0);
  const before = useRef<LiveFrame | undefined>(undefined);

  useEffect(() => {
    const gone = new AbortController();
    void followFrames(gone.signal, setLink, (frame) => {
      // A coordinator that began anew counts from zero on a clock of its own.
      const last = before.current && before.current.atMs < frame.atMs ? before.current : frame;
      const rates = ratesBetween(last, frame);
      before.current = frame;
      setLive((earlier) => ({
        frame,
        rates,
        samples: withSample(earlier?.samples ?? [], sampleOf(Date.now() / 1000, frame, rates)),
      }));
    });
    return () => gone.abort();
  }, [attempt]);

  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.target !== document.body) return;
      event.preventDefault();
      document.getElementById('prompt')?.focus();
    };
    addEventListener('keydown', focus);
    return () => removeEventListener('keydown', focus);
  }, []);

  return (
    <>
      <header>
        <h1>Rondo</h1>
        <p
          id="status"
          role="status"
          data-state={link.kind}
          title={link.kind === 'reconnecting' ? link.why : ''}
        >
          {STATES[link.kind]}
        </p>
        <p class="quiet models">{live?.frame.models.join(', ')}</p>
        <ThemeButton />
      </header>
      <main>
        {link.kind === 'needs-key' && <KeyForm onKey={() => setAttempt(attempt + 1)} />}
        {live ? (
          <>
            <Figures frame={live.frame} rates={live.rates} />
            <div class="cards">
              <section aria-labelledby="loop-title">
                <h2 id="loop-title">Loop</h2>
                <Ring frame={live.frame} rates={live.rates} />
              </section>
              <section aria-labelledby="workers-title">
                <h2 id="workers-title">Workers</h2>
                <Workers frame={live.frame} rates={live.rates} samples={live.samples} />
              </section>
              <section aria-labelledby="chat-title">
                <h2 id="chat-title">Chat</h2>
                <Chat models={live.frame.models} maxDepth={live.frame.maxDepth} />
              </section>
            </div>
            <Plots samples={live.samples} />
            <RequestList maxDepth={live.frame.maxDepth} alive={link.kind === 'live'} />
          </>
        ) : (
          link.kind !== 'needs-key' && <p class="quiet">Waiting for the coordinator.</p>
        )}
      </main>
    </>
  );
}

function KeyForm({ onKey }: { onKey: () => void }) {
  const [key, setKey] = useState('');
  const [fault, setFault] = useState('');
  return (
    <form
      class="key card"
      onSubmit={(event) => {
        event.preventDefault();
        const pasted = key.trim();
        const found = keyFault(pasted);
        setFault(found ?? '');
        if (found !== undefined) return;
        useKey(pasted);
        onKey();
      }}
    >
      <label for="key">API key</label>
      <input
        id="key"
        type="password"
        autocomplete="off"
        required
        value={key}
        onInput={(event) => setKey(event.currentTarget.value)}
      />
      <button type="submit">Use</button>
      {fault !== '' && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      <p class="quiet">It stays in this tab and goes to this server only.</p>
    </form>
  );
}

function Figures({ frame, rates }: { frame: LiveFrame; rates: LiveRates }) {
  const left = rates.exits.reduce((sum, count) => sum + count, 0);
  const passes = rates.exits.reduce((sum, count, depth) => sum + count * (depth + 1), 0);
  const figures: readonly (readonly [string, string, string])[] = [
    ['tokens a second', rates.tokens.toFixed(0), ''],
    ['passes a token', left > 0 ? (passes / left).toFixed(2) : '–', `of ${frame.maxDepth}`],
    ['running', String(frame.running), ''],
    ['waiting', String(frame.waiting), ''],
    ['first token', ms(frame.firstTokenMs), 'median'],
    ['token to token', ms(frame.betweenTokensMs), 'median'],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value, note]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value} <small>{note}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}
