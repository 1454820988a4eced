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

// Where a registry and NuGet answer, which is nowhere yet, the image has CUDA: this much of that can be read. Without CUDA it is built
// and run beside the other images.

test('the GPU image asks the pinned runtime’s script for a CUDA that it has, and stands on that CUDA', () => {
  const script = only(/"node_modules\/onnxruntime-node\/(script\/[^"]+)"/);
  const wanted = only(/^ARG ONNXRUNTIME_NODE_INSTALL=(\w+)$/);
  const load = createRequire(RUNTIME);
  assert.ok(load.resolve(`./${script}`));
  const { requirements, manifests } = load('./script/install-metadata.js') as InstallMetadata;
  assert.ok(requirements['linux/x64']?.includes(wanted), wanted);
  assert.ok('./libonnxruntime_providers_cuda.so' in manifests[`linux/x64:${wanted}`]!);
  assert.equal(`cuda${only(/^ARG BASE_GPU=\S+cuda:(\d+)\.\S*cudnn-runtime/)}`, wanted);
});

test('the GPU image asks the driver for compute and graphics, of which Vulkan is part', () => {
  const capabilities = only(/NVIDIA_DRIVER_CAPABILITIES=(\S+)/).split(',');
  assert.ok(capabilities.includes('compute') && capabilities.includes('graphics'), capabilities.join());
});
