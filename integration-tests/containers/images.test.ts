import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { IMAGES_MISSING } from './images.ts';

const run = promisify(execFile);

interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Healthcheck?: { readonly Test: readonly string[] };
  readonly Labels: Readonly<Record<string, string>>;
}

/** Of an image, as its list names it. */
interface Part {
  readonly name: string;
  readonly components?: readonly Part[];
}

async function configOf(image: string): Promise<ImageConfig> {
  const { stdout } = await run('docker', ['image', 'inspect', '--format', '{{json .Config}}', image]);
  return JSON.parse(stdout) as ImageConfig;
}

/** Runs a container as the chart does: nothing can be written, nothing may be gained. */
const locked = (...args: string[]) =>
  run('docker', [
    ...['run', '--rm', '--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges', '--network=none'],
    ...args,
  ]);

/** Paths of the image's file system that `test`, the body of an arrow function on a path, is true for. */
async function paths(image: string, test: string): Promise<string[]> {
  const script = `console.log(JSON.stringify(require('node:fs').globSync('/{bin,etc,rondo,usr}/**').filter((path) => ${test})))`;
  return JSON.parse((await locked('--entrypoint=node', image, '-e', script)).stdout) as string[];
}

const SHELLS = String.raw`/\/(sh|bash|dash|busybox)$/.test(path)`;

describe('images', { skip: IMAGES_MISSING }, () => {
  for (const image of ['rondo-coordinator:dev', 'rondo-worker:dev', 'rondo-worker-gpu:dev']) {
    test(`${image} runs as nobody, is asked how it is without a shell, and says what it is`, async () => {
      const { User, Entrypoint, Healthcheck, Labels } = await configOf(image);
      assert.equal(User, '65532:65532');
      assert.equal(Entrypoint[0], 'node');
      assert.deepEqual(Healthcheck?.Test.slice(0, 2), ['CMD', 'node']);
      assert.equal(Labels['org.opencontainers.image.title'], image.replace(':dev', ''));
      assert.equal(Labels['org.opencontainers.image.licenses'], 'Apache-2.0');
      assert.match(Labels['org.opencontainers.image.revision'] ?? '', /^[0-9a-f]{40}$/);
    });

    test(`${image} needs no shell: there is none`, async () => {
      assert.deepEqual(await paths(image, SHELLS), []);
    });

    test(`${image} holds none of our tests and no tools of the build`, async () => {
      const tools = String.raw`/services\/.*\.test\.ts$|node_modules\/(typescript|npm|testcontainers)\//.test(path)`;
      assert.deepEqual(await paths(image, tools), []);
    });

    test(`${image} starts on a root that cannot be written, without any capability`, async () => {
      const command = image === 'rondo-coordinator:dev' ? 'coordinator' : 'worker';
      const { stdout } = await locked(image, command, '--help');
      assert.match(stdout, new RegExp(`^Usage: rondo ${command} `));
    });
  }

  test('the coordinator has no ONNX Runtime, workers that of their platform only', async () => {
    const runtimes = (image: string) =>
      paths(image, String.raw`/libonnxruntime|onnxruntime\.dll/.test(path)`);
    assert.deepEqual(await runtimes('rondo-coordinator:dev'), []);
    for (const image of ['rondo-worker:dev', 'rondo-worker-gpu:dev']) {
      const [found, ...others] = await runtimes(image);
      assert.match(found ?? '', new RegExp(`/linux/${process.arch}/libonnxruntime`));
      assert.deepEqual(others, []);
    }
  });

  test('the list of what is in an image has packages of npm, node with its libraries, and the distribution’s', async () => {
    const names = async (image: string) => {
      const { stdout } = await run('node', ['infra/docker/sbom.ts', image], { maxBuffer: 1e8 });
      const { bomFormat, metadata, components } = JSON.parse(stdout);
      assert.deepEqual([bomFormat, metadata.component.name], ['CycloneDX', image.replace(':dev', '')]);
      for (const { name, version, purl } of components) {
        assert.match(version, /^\d/, name);
        assert.match(purl, /^pkg:(npm|deb\/debian|generic)\//, name);
      }
      return (components as Part[]).flatMap(({ name, components: inside = [] }) => [
        name,
        ...inside.map((part) => `${name}/${part.name}`),
      ]);
    };
    const both = ['commander', 'node', 'node/openssl', 'node/uv', 'libc6', 'libstdc++6', 'protobufjs'];
    const coordinator = await names('rondo-coordinator:dev');
    const worker = await names('rondo-worker:dev');
    for (const name of both) for (const found of [coordinator, worker]) assert.ok(found.includes(name), name);
    assert.ok(worker.includes('onnxruntime-node') && !coordinator.includes('onnxruntime-node'));
    assert.ok(coordinator.includes('fastify') && !worker.includes('fastify'));
  });

  test('the lab may write its cache as nobody, and says where bench measures instead', async () => {
    const { stdout } = await run('docker', [
      ...['run', '--rm', '--cap-drop=ALL', '--network=none', '--entrypoint=node', 'rondo-lab:dev', '-e'],
      `require('node:fs').mkdirSync('/rondo/.cache/checkpoints'); console.log(process.getuid())`,
    ]);
    assert.equal(stdout, '65532\n');
    const refused = await locked('rondo-lab:dev', 'bench', 'engine').then(
      () => assert.fail('it ran'),
      (error: { stderr: string }) => error.stderr,
    );
    assert.match(refused, /^rondo: \/rondo\/rondo is not there, as in an image: measure in a checkout/);
  });

  test('a command of another image is refused by name', async () => {
    const refused = await locked('rondo-coordinator:dev', 'worker', '--help').then(
      () => assert.fail('it ran'),
      (error: { stderr: string }) => error.stderr,
    );
    assert.match(refused, /^rondo: rondo worker is not part of this image: /);
  });
});
