// Decodes with llama.cpp through node-llama-cpp: `node llama-cpp.mjs <model.gguf> <threads>`. Copied beside its packages before it runs, which is where bare imports are looked up. Speaks the protocol of
// peer-process.ts.
import { createInterface } from 'node:readline';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [modelPath, threads] = process.argv.slice(2);
const say = (message) => process.stdout.write(`bench ${JSON.stringify(message)}\n`);

const llama = await getLlama({
  gpu: false,
  build: 'never',
  logLevel: LlamaLogLevel.error,
  maxThreads: Number(threads),
});
const model = await llama.loadModel({ modelPath });
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const { prompts, generate, flash, batch } = JSON.parse(line);
  try {
    say(await measure(prompts, generate, flash, batch));
  } catch (error) {
    say({ error: String(error?.message ?? error) });
  }
}
process.exit(0);

/** All prompts side by side in one context, then `generate` greedy tokens of each. */
async function measure(prompts, generate, flash, batch) {
  const context = await model.createContext({
    sequences: prompts.length,
    contextSize: prompts[0].length + generate + 1,
    batchSize: batch,
    threads: { ideal: Number(threads), min: Number(threads) },
    flashAttention: flash,
  });
  try {
    const sequences = prompts.map(() => context.getSequence());
    const prefill = () =>
      Promise.all(sequences.map((sequence, at) => sequence.evaluateWithoutGeneratingNewTokens(prompts[at])));
    // A new context has touched none of its buffers, and one prompt touches all but K and V; other engines keep theirs from run to run.
    await sequences[0].evaluateWithoutGeneratingNewTokens(prompts[0]);
    await sequences[0].clearHistory();
    const start = performance.now();
    await prefill();
    const prefilled = performance.now();
    const counts = await Promise.all(
      sequences.map(async (sequence, at) => {
        let count = 0;
        // Only a token that is given starts a generation; which one it is costs the same.
        const tokens = sequence.evaluate([prompts[at][0]], { temperature: 0, yieldEogToken: true });
        for await (const _ of tokens) if (++count === generate) break;
        return count;
      }),
    );
    const end = performance.now();
    const short = counts.find((count) => count !== generate);
    if (short !== undefined) throw new Error(`a sequence ended after ${short} of ${generate} tokens`);
    return {
      prefillMs: prefilled - start,
      decodeMs: end - prefilled,
      residentBytes: process.memoryUsage.rss(),
    };
  } finally {
    await context.dispose();
  }
}
