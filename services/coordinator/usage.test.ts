import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChoiceEnd } from './choice.ts';
import { usageOf } from './usage.ts';

const end = (cachedTokens: number): ChoiceEnd => ({
  reason: 'stop',
  tokens: 3,
  cachedTokens,
  promptPasses: 10,
  generatedPasses: 4,
});

test('cached tokens of a prompt are counted once, as the choice that found least found them', () => {
  const [first, second] = [Array(40).fill(1), Array(40).fill(1)];
  const usage = usageOf(
    {
      promptTokens: 80,
      choices: [first, first, second, second].map((promptIds) => ({ request: { promptIds } })),
    },
    [end(16), end(32), end(32), end(32)],
  );
  assert.deepEqual(usage.prompt_tokens_details, { cached_tokens: 16 + 32 });
  assert.deepEqual(usage.passes, { prompt: 40, generated: 16 });
});
