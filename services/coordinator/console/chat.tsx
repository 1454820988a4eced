import { useRef, useState } from 'preact/hooks';
import { events, post } from './api.ts';
import { depthColour } from './colour.ts';

const TOKENS_MAX = 256;

interface Token {
  readonly text: string;
  readonly passes: number;
}

interface Chunk {
  readonly choices?: readonly { readonly token_passes?: readonly Token[] }[];
  readonly error?: { readonly message: string };
}

/** A message to the model; each token of the answer is coloured by the depth at which it left. */
export function Chat({ models, maxDepth }: { models: readonly string[]; maxDepth: number }) {
  const [chosen, setChosen] = useState<string>();
  // A coordinator that came back may serve others.
  const model = chosen !== undefined && models.includes(chosen) ? chosen : models[0];
  const [prompt, setPrompt] = useState('');
  const [tokens, setTokens] = useState<readonly Token[]>([]);
  const [fault, setFault] = useState('');
  const [running, setRunning] = useState(false);
  const stop = useRef<AbortController | undefined>(undefined);

  async function ask() {
    if (prompt.trim() === '' || running) return;
    stop.current = new AbortController();
    const { signal } = stop.current;
    setTokens([]);
    setFault('');
    setRunning(true);
    try {
      const messages = [{ role: 'user', content: prompt }];
      const asked = { model, messages, max_tokens: TOKENS_MAX, stream: true, return_passes: true };
      for await (const { choices = [], error } of events<Chunk>(
        await post('/v1/chat/completions', asked, signal),
      )) {
        if (error) throw new Error(error.message);
        const more = choices[0]?.token_passes ?? [];
        if (more.length > 0) setTokens((before) => [...before, ...more]);
      }
    } catch (error) {
      if (!signal.aborted) setFault((error as Error).message);
    } finally {
      setRunning(false);
    }
  }

  const passes = tokens.reduce((sum, token) => sum + token.passes, 0);
  return (
    <>
      <form
        class="chat"
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        {models.length > 1 && (
          <>
            <label for="model">Model</label>
            <select id="model" value={model} onChange={(event) => setChosen(event.currentTarget.value)}>
              {models.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </>
        )}
        <label for="prompt">
          Message <span class="hint">/ comes here, Enter sends</span>
        </label>
        <textarea
          id="prompt"
          rows={2}
          required
          value={prompt}
          onInput={(event) => setPrompt(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void ask();
          }}
        />
        {running ? (
          <button type="button" onClick={() => stop.current?.abort()}>
            Stop
          </button>
        ) : (
          <button type="submit" class="primary">
            Send
          </button>
        )}
      </form>
      <p id="answer" aria-live="polite" aria-busy={running}>
        {tokens.map(({ text, passes }, index) => (
          <span
            key={index}
            data-passes={passes}
            title={`left after ${passes} of ${maxDepth} passes`}
            style={{ '--depth': depthColour(passes - 1, maxDepth) }}
          >
            {text}
          </span>
        ))}
      </p>
      {fault !== '' && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {tokens.length > 0 && (
        <p class="quiet">
          {tokens.length} tokens, {(passes / tokens.length).toFixed(2)} passes each
        </p>
      )}
      <Legend maxDepth={maxDepth} />
    </>
  );
}

function Legend({ maxDepth }: { maxDepth: number }) {
  const shown = maxDepth <= 8 ? Array.from({ length: maxDepth }, (_, depth) => depth) : [0, maxDepth - 1];
  return (
    <p class="legend quiet">
      {'left after '}
      {shown.map((depth) => (
        <span key={depth}>
          <i class="swatch" style={{ background: depthColour(depth, maxDepth) }} aria-hidden="true" />{' '}
          {depth + 1}
        </span>
      ))}
      {maxDepth === 1 ? ' pass' : ' passes'}
    </p>
  );
}
