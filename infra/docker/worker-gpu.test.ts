import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';

/** What the package's own script for libraries outside npm goes by, as far as it matters here. */
interface InstallMetadata {
  readonly requirements: Readonly<Record<string, readonly string[]>>;
  readonly manifests: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const RUNTIME = new URL('../../node_modules/onnxruntime-node/', import.meta.url);
const dockerfile = await readFile(new URL('./Dockerfile', import.meta.url), 'utf8');

/** The only match of `pattern`'s group in the Dockerfile. */
function only(pattern: RegExp): string {
  const found = [...dockerfile.matchAll(new RegExp(pattern, 'gm'))].map(([, group]) => group!);
  assert.equal(found.length, 1, `${pattern}: ${found.join(', ')}`);
  return found[0]!;
}

// The image is built where a registry and NuGet answer, which is nowhere yet: this much of it can be read.

test('the GPU image asks the pinned runtime’s script for a CUDA that it has, and stands on that CUDA', () => {
  const script = only(/"node_modules\/onnxruntime-node\/(script\/[^"]+)", "--onnxruntime-node-install=/);
  const wanted = only(/"--onnxruntime-node-install=(\w+)"/);
  const load = createRequire(RUNTIME);
  assert.ok(load.resolve(`./${script}`));
  const { requirements, manifests } = load('./script/install-metadata.js') as InstallMetadata;
  assert.ok(requirements['linux/x64']?.includes(wanted), wanted);
  assert.ok('./libonnxruntime_providers_cuda.so' in manifests[`linux/x64:${wanted}`]!);
  assert.equal(`cuda${only(/^ARG BASE_GPU=\S+cuda:(\d+)\.\S*cudnn-runtime/)}`, wanted);
});

test('the trim of other platforms leaves where that script puts its libraries', async () => {
  const placed = /path\.join\(__dirname, '\.\.', '(bin\/[^']+)', PLATFORM\)/.exec(
    await readFile(new URL('script/install.js', RUNTIME), 'utf8'),
  )![1];
  const trim = await readFile(new URL('./trim.ts', import.meta.url), 'utf8');
  assert.ok(trim.includes(`'node_modules/onnxruntime-node/${placed}'`), placed);
});

test('the GPU image has a loader for Vulkan and asks the driver for compute and graphics, of which Vulkan is part', () => {
  assert.match(only(/apt-get install .*?--no-install-recommends (.*)$/), /\blibvulkan1\b/);
  const capabilities = only(/NVIDIA_DRIVER_CAPABILITIES=(\S+)/).split(',');
  assert.ok(capabilities.includes('compute') && capabilities.includes('graphics'), capabilities.join());
});
