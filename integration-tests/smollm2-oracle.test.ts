import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Tokenizer } from '@huggingface/tokenizers';
import { openCheckpoint } from '@rondo/converter';
import { SerialModel } from '@rondo/lab';
import { smollm2Bundle, smollm2Checkpoint } from './smollm2.ts';

const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`./fixtures/smollm2/${name}`, import.meta.url), 'utf8')) as T;

const checkpoint = await smollm2Checkpoint();
const skip = 'unavailable' in checkpoint ? checkpoint.unavailable : false;
const path = 'path' in checkpoint ? checkpoint.path : '';

describe('SmolLM2-135M-Instruct', { skip }, () => {
  test('64 greedy tokens of five prompts equal those of PyTorch', async () => {
    const { prompts } = fixture<{ prompts: { text: string; ids: number[]; tokens: number[] }[] }>(
      'greedy.json',
    );
    const model = await SerialModel.open(await smollm2Bundle(path), { threads: 2, positions: 256 });
    try {
      for (const { text, ids, tokens } of prompts) {
        assert.deepEqual(await greedy(model, ids, tokens.length), tokens, text);
      }
    } finally {
      await model.close();
    }
  });

  test('the tokenizer rebuilt from the GGUF gives the reference ids of 200 strings', async () => {
    const opened = await openCheckpoint(path);
    const json = (file: string) =>
      JSON.parse(Buffer.from(opened.tokenizerFiles.get(file)!).toString('utf8')) as object;
    const tokenizer = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json'));
    await opened.close();
    const rows = fixture<{ text: string; ids: number[] }[]>('tokenizer.json');
    assert.equal(rows.length, 200);
    for (const { text, ids } of rows) {
      assert.deepEqual(tokenizer.encode(text, { add_special_tokens: false }).ids, ids, JSON.stringify(text));
    }
  });
});

async function greedy(model: SerialModel, prompt: readonly number[], count: number): Promise<number[]> {
  model.reset();
  const tokens: number[] = [];
  let feed: readonly number[] = prompt;
  while (tokens.length < count) {
    const logits = await model.forward(feed);
    const last = logits.subarray((logits.length / feed.length) * (feed.length - 1));
    const token = last.indexOf(last.reduce((max, logit) => Math.max(max, logit), Number.NEGATIVE_INFINITY));
    tokens.push(token);
    feed = [token];
  }
  return tokens;
}
