// Decodes with transformers.js: `node transformers-js.mjs <model directory> <threads> <dtype>`. Copied beside its
// packages before it runs, which is where bare imports are looked up. Speaks the protocol of peer-process.ts.
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { AutoModelForCausalLM, BaseStreamer, env, Tensor } from '@huggingface/transformers';

const [directory, threads, dtype] = process.argv.slice(2);
const say = (message) => process.stdout.write(`bench ${JSON.stringify(message)}\n`);

/** Is handed the prompt, then every step's tokens. */
class StepTimes extends BaseStreamer {
  times = [];
  put() {
    this.times.push(performance.now());
  }
  end() {}
}

env.allowRemoteModels = false;
env.localModelPath = dirname(directory);
const model = await AutoModelForCausalLM.from_pretrained(basename(directory), {
  dtype,
  device: 'cpu',
  use_external_data_format: true,
  session_options: { intraOpNumThreads: Number(threads), interOpNumThreads: 1 },
});
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const { prompts, generate } = JSON.parse(line);
  try {
    say(await measure(prompts, generate));
  } catch (error) {
    say({ error: String(error?.message ?? error) });
  }
}
process.exit(0);

/** One static batch. The first token belongs to the prefill, so that `generate` steps remain. */
async function measure(prompts, generate) {
  const dims = [prompts.length, prompts[0].length];
  const ids = (values) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  const flat = prompts.flat();
  const streamer = new StepTimes();
  const start = performance.now();
  const output = await model.generate({
    inputs: ids(flat),
    attention_mask: ids(flat.map(() => 1)),
    max_new_tokens: generate + 1,
    do_sample: false,
    eos_token_id: null,
    streamer,
  });
  const count = output.dims[1] - dims[1];
  if (count !== generate + 1) throw new Error(`${count} of ${generate + 1} tokens came`);
  const first = streamer.times[1];
  return {
    prefillMs: first - start,
    decodeMs: streamer.times.at(-1) - first,
    residentBytes: process.memoryUsage.rss(),
  };
}
