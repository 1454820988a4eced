/** The console: follows /console/live, draws it, and chats. No key leaves this tab but to its own server. */

const $ = (id) => document.getElementById(id);
const KEY = 'rondo-key';
const RETRY_MS = 1000;

const headers = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
};

/** From blue, left early, to orange, went all the way. */
const colour = (depth, of) => `hsl(${215 - (185 * depth) / Math.max(1, of - 1)} 70% 50%)`;

/** The `data:` payloads of a stream of events. */
async function* events(response) {
  let text = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const parts = text.split('\n\n');
    text = parts.pop();
    for (const part of parts) if (part !== 'data: [DONE]') yield JSON.parse(part.slice('data: '.length));
  }
}

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

/** What a count that rises modulo 2^32 has risen by; one that fell began anew. */
const rise = (now, before) => (before === undefined || now < before ? 0 : now - before);

let before;
let model;

function show(frame) {
  model = frame.models[0];
  const seconds = before ? (frame.atMs - before.atMs) / 1000 : 0;
  const rate = (now, then) => (seconds > 0 ? rise(now, then) / seconds : 0);
  const earlier = new Map(before?.workers.map((worker) => [worker.id, worker]));
  const depths = Array.from({ length: frame.maxDepth }, (_, depth) =>
    frame.workers.reduce(
      (sum, { id, depthRows }) => sum + rate(depthRows[depth] ?? 0, earlier.get(id)?.depthRows[depth]),
      0,
    ),
  );
  drawRing(depths, rate(frame.tokens, before?.tokens));
  $('depths').replaceChildren(
    ...depths.map((rows, depth) => {
      const exits = frame.exits[depth];
      const line = element(
        'li',
        {},
        `depth ${depth}: ${rows.toFixed(0)} rows/s`,
        element('span', {}, `${exits} left`),
      );
      line.style.setProperty('--depth', colour(depth, frame.maxDepth));
      return line;
    }),
  );
  const ms = (value) => (value === null ? '–' : `${value.toFixed(0)} ms`);
  $('figures').replaceChildren(
    ...[
      ['running', frame.running],
      ['waiting', frame.waiting],
      ['first token', ms(frame.firstTokenMs)],
      ['token to token', ms(frame.betweenTokensMs)],
    ].map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, String(value)))),
  );
  $('workers').replaceChildren(...frame.workers.map((worker) => lane(worker, earlier.get(worker.id))));
  before = frame;
}

function lane({ id, state, sequences, kvShare, runs, depthRows }, earlier) {
  const ran = rise(runs, earlier?.runs);
  const rows = depthRows.reduce((sum, count, depth) => sum + rise(count, earlier?.depthRows[depth]), 0);
  const perRun = ran > 0 ? (rows / ran).toFixed(1) : '0';
  const memory = element('meter', { max: 1, value: kvShare, ariaLabel: `KV memory held on ${id}` });
  return element(
    'li',
    {},
    `${id} `,
    element('span', { className: 'quiet' }, state),
    memory,
    element(
      'div',
      { className: 'quiet' },
      `KV ${(100 * kvShare).toFixed(0)} %, ${sequences} sequences, ${perRun} rows a step`,
    ),
  );
}

function drawRing(depths, tokens) {
  const most = Math.max(1, ...depths);
  const part = (2 * Math.PI) / depths.length;
  const gap = depths.length > 1 ? 0.06 : 0.001;
  const at = (angle) => `${130 + 105 * Math.sin(angle)} ${130 - 105 * Math.cos(angle)}`;
  const svg = (name, attributes, text = '') => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    made.textContent = text;
    return made;
  };
  $('ring').replaceChildren(
    ...depths.map((rows, depth) =>
      svg('path', {
        d: `M${at(depth * part + gap)}A105 105 0 ${part > Math.PI ? 1 : 0} 1 ${at((depth + 1) * part - gap)}`,
        stroke: colour(depth, depths.length),
        'stroke-opacity': 0.2 + (0.8 * rows) / most,
      }),
    ),
    svg('text', { x: 130, y: 135, class: 'rate' }, tokens.toFixed(0)),
    svg('text', { x: 130, y: 158, class: 'unit' }, 'tokens/s'),
  );
}

async function follow() {
  for (;;) {
    try {
      const response = await fetch('/console/live', { headers: headers() });
      $('key-form').hidden = response.status !== 401;
      if (response.status === 401) {
        $('status').textContent = 'needs an API key';
        return;
      }
      if (!response.ok) throw new Error((await response.json()).error.message);
      $('status').textContent = 'live';
      before = undefined;
      for await (const frame of events(response)) show(frame);
      $('status').textContent = 'reconnecting';
    } catch (error) {
      $('status').textContent = `reconnecting: ${error.message}`;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $('key').value);
  void follow();
});

$('chat').addEventListener('submit', async (event) => {
  event.preventDefault();
  const answer = $('answer');
  answer.replaceChildren();
  const body = {
    model,
    messages: [{ role: 'user', content: $('prompt').value }],
    max_tokens: 128,
    stream: true,
    return_passes: true,
  };
  try {
    const response = await fetch('/v1/chat/completions', {
      method: 'POST',
      headers: { ...headers(), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const { choices = [], error } of events(response)) {
      if (error) throw new Error(error.message);
      for (const { text, passes } of choices[0]?.token_passes ?? []) {
        const token = element('span', { title: `${passes} passes` }, text);
        token.style.setProperty('--depth', colour(passes - 1, before?.maxDepth ?? passes));
        answer.append(token);
      }
    }
  } catch (error) {
    answer.append(error.message);
  }
});

void follow();
