import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  GenericContainer,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';

const run = promisify(execFile);
const ROOT = new URL('../..', import.meta.url).pathname;
const NATS_IMAGE = 'rondo-test/nats';
const RONDO_IMAGE = 'rondo-test/node';
const HTTP_PORT = 8080;
const START_MS = 60_000;

// The container that cleans up after a lost test run comes from a registry; here each scope ends its own.
process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';

/** For `test(name, { skip: CONTAINERS_MISSING }, …)`: false, or why there are no containers to test with. */
export const CONTAINERS_MISSING: string | false = await run(
  'docker',
  ['image', 'inspect', NATS_IMAGE, RONDO_IMAGE],
  { timeout: 10_000, maxBuffer: 1e7 },
).then(
  () => false as const,
  () => 'no Docker engine answers with the images of integration-tests/containers/prepare.sh',
);

/** NATS, coordinators and workers as containers of one network, which each can be cut off from. */
export class ContainerCluster implements AsyncDisposable {
  readonly #network: StartedNetwork;
  readonly #bundle: string;
  readonly #started: StartedTestContainer[] = [];

  private constructor(network: StartedNetwork, bundle: string) {
    this.#network = network;
    this.#bundle = bundle;
  }

  /** A network with a NATS server in it. */
  static async start(bundle: string): Promise<ContainerCluster> {
    const cluster = new ContainerCluster(await new Network().start(), bundle);
    try {
      await cluster.#run(
        new GenericContainer(NATS_IMAGE)
          .withNetworkAliases('nats')
          .withCommand(['--jetstream', '--store_dir', '/tmp'])
          .withWaitStrategy(Wait.forLogMessage('Server is ready')),
      );
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A worker that others know as `name`. */
  startWorker(name: string, ...options: string[]): Promise<StartedTestContainer> {
    return this.#rondo(name, [
      ...['worker', '--listen', '0.0.0.0:7600', '--advertise', `${name}:7600`],
      ...['--threads', '1', '--kv-mb', '64'],
      ...options,
    ]);
  }

  /** The URL of a coordinator, for this process. */
  async startCoordinator(name: string, ...options: string[]): Promise<string> {
    const command = ['coordinator', '--listen', `0.0.0.0:${HTTP_PORT}`, ...options];
    const container = await this.#rondo(name, command, HTTP_PORT);
    return `http://${container.getHost()}:${container.getMappedPort(HTTP_PORT)}`;
  }

  /** Cuts the cable: nobody is told that the container has gone. */
  async cut(container: StartedTestContainer): Promise<void> {
    await run('docker', ['network', 'disconnect', this.#network.getId(), container.getId()]);
  }

  async mend(container: StartedTestContainer, name: string): Promise<void> {
    await run('docker', ['network', 'connect', '--alias', name, this.#network.getId(), container.getId()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#started.map((container) => container.stop({ timeout: 0 })));
    await this.#network.stop();
  }

  #rondo(name: string, command: readonly string[], port?: number): Promise<StartedTestContainer> {
    const container = new GenericContainer(RONDO_IMAGE)
      .withNetworkAliases(name)
      .withBindMounts([
        { source: ROOT, target: '/rondo', mode: 'ro' },
        { source: this.#bundle, target: '/bundle', mode: 'ro' },
      ])
      .withCommand([...command, '--model', '/bundle', '--nats', 'nats://nats:4222'])
      .withWaitStrategy(Wait.forLogMessage(/^ready /m));
    return this.#run(port === undefined ? container : container.withExposedPorts(port));
  }

  async #run(container: GenericContainer): Promise<StartedTestContainer> {
    const started = await container.withNetwork(this.#network).withStartupTimeout(START_MS).start();
    this.#started.push(started);
    return started;
  }
}
