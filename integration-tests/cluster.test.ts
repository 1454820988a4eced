import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './cluster.ts';
import { promptOf } from './disturbed-streams.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const LOOPS = 4;
/** Log probabilities of one placement and another may differ by this much, in nats. */
const TOLERANCE = 1e-4;

let bundle: TinyBundle;
before(async () => {
  bundle = await TinyBundle.make(LOOPS);
});
after(() => bundle[Symbol.asyncDispose]());

interface Completion {
  readonly choices: readonly {
    readonly text: string;
    readonly logprobs: { readonly token_logprobs: (number | null)[]; readonly top_logprobs: unknown[] };
  }[];
  readonly usage: { readonly passes: { readonly prompt: number; readonly generated: number } };
}

async function complete(cluster: Cluster, body: object): Promise<Completion> {
  const response = await cluster.post('/v1/completions', { model: 'tiny', ignore_eos: true, ...body });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Completion;
}

/** Greedy text and log probabilities of prompt and output, for prompts of several chunks. */
async function observe(cluster: Cluster): Promise<Completion[]> {
  const lengths = [1, 17, 150];
  return Promise.all(
    lengths.map((length) =>
      complete(cluster, {
        prompt: promptOf(length, 1),
        max_tokens: 24,
        temperature: 0,
        logprobs: 5,
        echo: true,
      }),
    ),
  );
}

function assertSame(found: readonly Completion[], expected: readonly Completion[]): void {
  for (const [index, completion] of expected.entries()) {
    const [a, b] = [found[index]!.choices[0]!, completion.choices[0]!];
    assert.equal(a.text, b.text);
    assert.equal(a.logprobs.token_logprobs.length, b.logprobs.token_logprobs.length);
    b.logprobs.token_logprobs.forEach((logprob, at) => {
      const other = a.logprobs.token_logprobs[at];
      if (logprob === null) assert.equal(other, null);
      else assert.ok(Math.abs(logprob - other!) < TOLERANCE, `position ${at}: ${other} against ${logprob}`);
    });
  }
}

describe('a cluster of real processes', () => {
  let homed: Completion[];

  test('one homed worker spends every pass on every row', async () => {
    await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 1, placement: 'homed' });
    homed = await observe(cluster);
    assert.deepEqual(
      homed.map((completion) => completion.usage.passes),
      // The last token is sampled from the row before it, so 24 tokens take 23 rows of their own.
      [1, 17, 150].map((length) => ({ prompt: length * LOOPS, generated: 23 * LOOPS })),
    );
  });

  for (const workers of [2, 3]) {
    test(`staged over ${workers} workers says what one homed worker says`, async () => {
      await using cluster = await Cluster.start({ bundle: bundle.directory, workers, placement: 'staged' });
      assertSame(await observe(cluster), homed);
    });
  }

  test('a sequence too long for any one worker is split over two, and says what one that holds it says', async () => {
    await using deep = await TinyBundle.make(16, undefined, 1 / 16, 'f32', { first: 0, last: 3 });
    const ask = { prompt: promptOf(200, 1), max_tokens: 20, temperature: 0, logprobs: 1, echo: true };
    const start = (workers: number, kvMb: string) =>
      Cluster.start({
        ...{ bundle: deep.directory, workers, placement: 'auto' },
        workerOptions: ['--kv-mb', kvMb],
      });
    await using alone = await start(1, '1');
    const refused = await alone.post('/v1/completions', { model: 'tiny', ...ask });
    assert.equal(refused.status, 400, 'one worker holds it');
    await refused.body?.cancel();
    await using two = await start(2, '1');
    await using roomy = await start(1, '64');
    assertSame([await complete(two, ask)], [await complete(roomy, ask)]);
  });

  for (const kvPolicy of ['propagate', 'catch-up'] as const) {
    test(`rows leave on any stage of three workers as on one homed worker (${kvPolicy})`, async () => {
      await using exiting = await TinyBundle.make(LOOPS, kvPolicy);
      const said: Completion[][] = [];
      for (const placement of ['homed', 'staged'] as const) {
        const workers = placement === 'homed' ? 1 : 3;
        await using cluster = await Cluster.start({ bundle: exiting.directory, workers, placement });
        const asked = [1, 17, 150].map((length, index) => ({
          ...{ prompt: promptOf(length, 1), max_tokens: 24, temperature: 0, logprobs: 5 },
          ...(index === 0
            ? { exit_policy: 'latent-diff', exit_threshold: 0.4 }
            : { exit_depths: [1, 4, 2, 3, 1, 1] }),
        }));
        said.push(await Promise.all(asked.map((body) => complete(cluster, body))));
      }
      assertSame(said[1]!, said[0]!);
      const spent = said.map((completions) => completions.map(({ usage }) => usage.passes.generated));
      assert.deepEqual(spent[1], spent[0]);
      assert.ok(
        spent[0]!.every((passes) => passes < 23 * LOOPS),
        `${spent[0]} passes: some rows left early`,
      );
    });
  }

  test('eight requests at once say what each says alone, greedy and seeded', async () => {
    await using cluster = await Cluster.start({ bundle: bundle.directory, workers: 2, placement: 'homed' });
    const bodies = Array.from({ length: 8 }, (_, index) => ({
      prompt: promptOf(5 + index * 13, index),
      max_tokens: 20,
      ...(index % 2 ? { temperature: 0.9, seed: 42 + index } : { temperature: 0 }),
    }));
    const alone: string[] = [];
    for (const body of bodies) alone.push((await complete(cluster, body)).choices[0]!.text);
    const together = await Promise.all(bodies.map((body) => complete(cluster, body)));
    assert.deepEqual(
      together.map((completion) => completion.choices[0]!.text),
      alone,
    );
  });
});

describe('a cluster that cannot start says why in one line', () => {
  const refused = async (pattern: RegExp, ...args: string[]) => {
    const { code, stderr } = await RondoProcess.run(...args);
    assert.notEqual(code, 0);
    assert.match(stderr, pattern);
    assert.equal(
      stderr
        .trim()
        .split('\n')
        .filter((line) => line.startsWith('rondo: ')).length,
      1,
      stderr,
    );
  };

  test('a worker that is not there', () =>
    refused(/127\.0\.0\.1:1\b/, 'coordinator', '--model', bundle.directory, '--worker', '127.0.0.1:1'));

  test('a port that is taken', async () => {
    await using worker = await RondoProcess.start(
      'worker',
      '--model',
      bundle.directory,
      '--listen',
      '127.0.0.1:0',
    );
    await refused(/in use|taken/, 'worker', '--model', bundle.directory, '--listen', worker.ready);
  });

  test('a worker with another bundle', async () => {
    await using other = await TinyBundle.make(LOOPS + 1);
    await using worker = await RondoProcess.start(
      'worker',
      '--model',
      other.directory,
      '--listen',
      '127.0.0.1:0',
    );
    await refused(/bundle/, 'coordinator', '--model', bundle.directory, '--worker', worker.ready);
  });

  test('a bundle that is not there', () => refused(/rondo convert/, 'worker', '--model', '/nonexistent'));
});
