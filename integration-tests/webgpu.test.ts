import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { MANIFEST_FILE } from '@rondo/bundle';
import { RondoProcess } from './rondo-process.ts';
import { SOFTWARE_GPU, SOFTWARE_GPU_MISSING } from './software-gpu.ts';
import { TinyBundle } from './tiny-bundle.ts';

const TOLERANCE = 1e-3;
const CASES = [
  ...['llama-gqa:f32', 'ouro:f32', 'qwen3-head-norms:f32'],
  ...['llama-gqa:int8', 'llama-gqa:int4', 'ouro:int8'],
  ...['llama-gqa:f32:3', 'llama-gqa:int8:3'],
  ...['llama-gqa:f32:norms', 'llama-gqa:int8:norms', 'qwen3-head-norms:int8:norms'],
];

/** Served by a worker alone, and by one whose last depths a worker on the CPU runs. */
const PLACES = [
  ...['llama-gqa:last-exited:alone', 'ouro:catch-up:alone', 'qwen3-head-norms:last-exited:alone'],
  ...['llama-gqa:last-exited:alone:3', 'llama-gqa:catch-up:home'],
];

/** For tests that wait for a program which takes a minute where nothing else runs. */
const LIMIT_MS = 300_000;

/** The Vulkan loader takes its devices from here, and hands it on to processes started meanwhile. */
const withDevices = async <Result>(files: string, work: () => Promise<Result>): Promise<Result> => {
  process.env.VK_ICD_FILENAMES = files;
  try {
    return await work();
  } finally {
    delete process.env.VK_ICD_FILENAMES;
  }
};

interface Served {
  readonly name: string;
  /** Logprobs, at most. */
  readonly apart: number;
  readonly passes: readonly number[];
  readonly rows: number;
  /** Rows whose states came to stacks from this process, and back to it. */
  readonly host: { readonly in: number; readonly out: number };
  readonly busy: { readonly depths: number; readonly chunks: number; readonly slots: number };
  readonly slotsLeft: number;
}

/** What `program` prints of each case, on the device in software; a failure waits for whoever reads it. */
function printed(program: string, cases: readonly string[]): Promise<string[]> {
  const path = new URL(program, import.meta.url).pathname;
  const env = { ...process.env, VK_ICD_FILENAMES: SOFTWARE_GPU };
  const lines = promisify(execFile)(process.execPath, [path, ...cases], { env }).then(({ stdout }) =>
    stdout.trim().split('\n'),
  );
  lines.catch(() => undefined);
  return lines;
}

describe('a worker on WebGPU', { skip: SOFTWARE_GPU_MISSING }, () => {
  let bundle: TinyBundle;
  /** Each takes a minute on one processor: they run beside each other. */
  let logits: Promise<string[]>;
  let served: Promise<string[]>;
  before(async () => {
    logits = printed('./webgpu-logits.ts', CASES);
    served = printed('./webgpu-served.ts', PLACES);
    bundle = await TinyBundle.make(2);
  });
  after(() => bundle[Symbol.asyncDispose]());

  const workerFlags = (...more: string[]) => [
    ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', '--threads', '1', '--kv-mb', '4'],
    ...more,
  ];

  test(`computes logits of the CPU within ${TOLERANCE}: chunks, pages, exits that copy K and V`, {
    timeout: LIMIT_MS,
  }, async () => {
    const cases = await logits;
    assert.equal(cases.length, CASES.length);
    for (const line of cases) {
      const { name, apart } = JSON.parse(line) as { name: string; apart: number[] };
      assert.ok(apart.length > 2, `${name}: ${apart.length} comparisons`);
      apart.forEach((value, at) => {
        assert.ok(value <= TOLERANCE, `${name}, run ${at}: off by ${value}`);
      });
    }
  });

  test('states stay on the device between runs: sequences at several depths, every exit, one that leaves, a route over two workers', {
    timeout: LIMIT_MS,
  }, async () => {
    const places = await served;
    assert.equal(places.length, PLACES.length);
    for (const line of places) {
      const { name, apart, passes, rows, host, busy, slotsLeft } = JSON.parse(line) as Served;
      assert.ok(apart <= TOLERANCE, `${name}: logprobs off by ${apart}`);
      assert.deepEqual(passes.toSorted(), [1, 2, 3], name);
      assert.ok(busy.depths > 1 && busy.chunks > 1, `${name}: ${JSON.stringify(busy)}`);
      assert.ok(busy.slots > slotsLeft && slotsLeft === 1, `${name}: ${slotsLeft} slots for one row`);
      if (name.includes(':alone')) assert.deepEqual(host, { in: 0, out: 0 }, name);
      else assert.ok(host.in > 0 && host.out > 0 && host.in + host.out < rows, `${name}: ${line}`);
    }
  });

  test('serves, says in /health what its first pass ran on, and answers as a worker on the CPU', async () => {
    const answers = [];
    for (const provider of ['webgpu', 'cpu']) {
      await using worker = await withDevices(SOFTWARE_GPU, () =>
        RondoProcess.start(...workerFlags('--provider', provider)),
      );
      await using coordinator = await RondoProcess.start(
        ...['coordinator', '--model', bundle.directory, '--worker', worker.ready, '--listen', '127.0.0.1:0'],
      );
      const health = (await (await fetch(`${coordinator.ready}/health`)).json()) as {
        workers: { provider: string }[];
      };
      assert.deepEqual(
        health.workers.map((each) => each.provider),
        [provider],
      );
      const response = await fetch(`${coordinator.ready}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'tiny', prompt: 'a looped model', max_tokens: 8, temperature: 0 }),
      });
      assert.equal(response.status, 200);
      answers.push(((await response.json()) as { choices: { text: string }[] }).choices[0]!.text);
    }
    assert.equal(answers[0], answers[1]);
  });

  test('is refused where there is no device, and is a worker on the CPU where that is allowed', async () => {
    await withDevices('/nonexistent', async () => {
      const { code, stderr } = await RondoProcess.run(...workerFlags('--provider', 'webgpu'));
      assert.equal(code, 1);
      assert.match(stderr, /provider webgpu: no GPU that Vulkan or Metal can reach/);
      await using worker = await RondoProcess.start(
        ...workerFlags('--provider', 'webgpu', '--allow-fallback'),
      );
      assert.match(worker.errors, /provider cannot run; the CPU takes its place/);
    });
  });

  test('a bundle whose products the device cannot run is refused with what ran elsewhere', async () => {
    await using files = await TinyBundle.make(2, undefined, undefined, 'int8');
    // As older versions wrote it.
    const path = join(files.directory, MANIFEST_FILE);
    const { deviceGraphs, ...manifest } = JSON.parse(await readFile(path, 'utf8'));
    assert.deepEqual(Object.keys(deviceGraphs), ['prelude', 'block', 'coda', 'head']);
    await writeFile(path, JSON.stringify(manifest));
    const { code, stderr } = await withDevices(SOFTWARE_GPU, () =>
      RondoProcess.run(
        ...['worker', '--model', files.directory, '--listen', '127.0.0.1:0', '--provider', 'webgpu'],
        ...['--threads', '1', '--kv-mb', '4'],
      ),
    );
    assert.equal(code, 1);
    assert.match(
      stderr,
      /provider webgpu: \d+ of \d+ matrix products .* CPUExecutionProvider.*convert the bundle again/,
    );
  });

  test('a device number is refused where the provider cannot choose', async () => {
    const { code, stderr } = await RondoProcess.run(
      ...workerFlags('--provider', 'webgpu', '--device-id', '1'),
    );
    assert.equal(code, 1);
    assert.match(stderr, /device 1: provider webgpu .*show the process only one GPU/);
  });
});

test('a provider whose library is not there is refused by name', async () => {
  await using bundle = await TinyBundle.make(2);
  const { code, stderr } = await RondoProcess.run(
    ...[
      'worker',
      '--model',
      bundle.directory,
      '--listen',
      '127.0.0.1:0',
      '--provider',
      'cuda',
      '--kv-mb',
      '4',
    ],
  );
  assert.equal(code, 1);
  assert.match(stderr, /provider cuda: no CUDA device or no CUDA library/);
});
