/** Three things to try against the API at `url`; a model without a chat template is asked for completions. */
export function firstSteps(url: string, model: string, chats: boolean): string {
  const path = chats ? 'chat/completions' : 'completions';
  const body = (prompt: string, more: object) =>
    JSON.stringify({
      model,
      ...(chats ? { messages: [{ role: 'user', content: prompt }] } : { prompt }),
      max_tokens: 64,
      ...more,
    });
  const curl = (flags: string, prompt: string, more: object = {}) =>
    `  curl ${flags} ${url}/v1/${path} -H 'content-type: application/json' \\\n    -d '${body(prompt, more)}'\n`;
  const [call, prompt] = chats
    ? ['chat.completions', `messages: [{ role: 'user', content: 'Tell me about rivers.' }]`]
    : ['completions', `prompt: 'Rivers are'`];
  return `
Serving ${model}. Three things to try:

1. Ask it something:
${curl('-s', chats ? 'What is the capital of France?' : 'The capital of France is')}
2. Watch it write, with the passes it spent at the end:
${curl('-sN', chats ? 'Write a short poem about the sea.' : 'The sea is', {
  stream: true,
  stream_options: { include_usage: true },
})}
3. Use the official client: npm install openai
  import OpenAI from 'openai';
  const client = new OpenAI({ baseURL: '${url}/v1', apiKey: 'none' });
  const answer = await client.${call}.create({ model: '${model}', ${prompt} });
  console.log(answer.choices[0]);

Ctrl-C stops it.
`;
}
