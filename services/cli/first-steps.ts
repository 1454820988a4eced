/** What a bundle lets clients send: messages, text, or without a tokenizer only token ids. */
export type Speech = 'messages' | 'text' | 'ids';

/** How each speech asks for something; `ids` has no words, so a few low ids stand for them. */
const ASKING: Readonly<Record<Speech, (words: string) => object>> = {
  messages: (words) => ({ messages: [{ role: 'user', content: words }] }),
  text: (words) => ({ prompt: words }),
  ids: () => ({ prompt: [1, 2, 3] }),
};

/** What a model of wide knowledge is asked. */
const QUESTIONS = [
  'What is the capital of France?',
  'Write a short story about the sea.',
  'What makes a river?',
];

/**
 * Three things to try against the API at `url`; where it asks for keys, with one that the shell holds as RONDO_KEY. `examples` are what
 * a model of narrow knowledge can be asked.
 */
export function firstSteps(
  url: string,
  model: string,
  speech: Speech,
  keyed: boolean,
  examples?: readonly string[],
): string {
  const questions = examples ?? QUESTIONS;
  const question = (index: number) => questions[index % questions.length]!;
  const path = speech === 'messages' ? 'chat/completions' : 'completions';
  const body = (words: string, more: object = {}) =>
    JSON.stringify({
      model,
      ...ASKING[speech](words),
      max_tokens: 64,
      // A small model answers best without chance.
      temperature: 0,
      ...more,
    });
  // Double quotes: the shell puts the key in.
  const key = keyed ? '-H "Authorization: Bearer $RONDO_KEY" ' : '';
  // A quote inside single quotes has to leave them.
  const curl = (flags: string, json: string) =>
    `   curl ${flags} ${url}/v1/${path} -H 'content-type: application/json' ${key}\\\n     -d '${json.replaceAll("'", "'\\''")}'`;
  return `
Serving ${model}. Three things to try${keyed ? ', with a key from your file: export RONDO_KEY=…' : ''}:

1. Ask it something:
${curl('-s', body(question(0)))}

2. Watch it write, and see the passes it spent at the end:
${curl('-sN', body(question(1), { stream: true, stream_options: { include_usage: true } }))}

3. Use the official client (npm install openai):
   import OpenAI from 'openai';
   const client = new OpenAI({ baseURL: '${url}/v1', apiKey: ${keyed ? 'process.env.RONDO_KEY' : "'none'"} });
   const answer = await client.${path.replace('/', '.')}.create(${body(question(2))});
   console.log(answer.choices[0]);

Ctrl-C stops it.
`;
}
