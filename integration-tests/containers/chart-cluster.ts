import { Chart } from '../chart/helm.ts';
import { type KubeObject, podLabels, podOf } from '../chart/kube-object.ts';
import { type Arrow, arrowsOf } from '../chart/network-arrows.ts';
import { docker, RunningPod, removeContainer, startContainer } from './kubelet.ts';

const NAMESPACE = 'prod';

/** What the cluster is: the least that shows two coordinators, a pool, and NATS. */
const VALUES = {
  images: { tag: 'dev' },
  bundles: [{ name: 'tiny', pvc: { claim: 'bundles' } }],
  // Docker does not translate ports as a Service does.
  // Homed sequences are spread over the workers: at any time some of them are to be moved.
  coordinator: { service: { port: 8080 }, drainSeconds: 60, placement: 'homed' },
  pools: [{ name: 'cpu', bundle: 'tiny', replicas: 3, resources: { cpu: '1', memory: '1Gi' }, kvMb: 64 }],
};

/**
 * The cluster that the chart describes, run by Docker: every pod as its manifest says, and a network for each arrow that the
 * NetworkPolicies allow, without a way out.
 */
export class ChartCluster implements AsyncDisposable {
  readonly coordinators: RunningPod[] = [];
  readonly workers: RunningPod[] = [];
  readonly objects: readonly KubeObject[];
  readonly arrows: readonly Arrow[];
  readonly #id = crypto.randomUUID().slice(0, 8);
  readonly #bundle: string;
  readonly #stack = new AsyncDisposableStack();

  private constructor(objects: readonly KubeObject[], bundle: string) {
    this.objects = objects;
    this.arrows = arrowsOf(objects);
    this.#bundle = bundle;
  }

  /** Networks and NATS; pods are started one by one. `bundle` is the directory that stands for the claim `bundles`. */
  static async start(bundle: string, values: object = VALUES): Promise<ChartCluster> {
    await using chart = Chart.copy();
    const cluster = new ChartCluster(await chart.render(values), bundle);
    try {
      for (const arrow of cluster.arrows) await cluster.#createNetwork(arrow);
      await cluster.#startNats();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async startCoordinator(index: number): Promise<RunningPod> {
    const pod = await this.#startOne(this.#object('Deployment'), index);
    this.coordinators[index] = pod;
    return pod;
  }

  async startWorker(index: number): Promise<RunningPod> {
    const pod = await this.#startOne(this.#object('StatefulSet'), index);
    this.workers[index] = pod;
    return pod;
  }

  /** Runs the pod of helm test. */
  startTest(): Promise<RunningPod> {
    const object = this.#object('Pod');
    return this.#start(object, object.metadata.name);
  }

  /** Where clients reach a coordinator. */
  async url(index: number): Promise<string> {
    return `http://${await this.coordinators[index]!.address(this.networkOf('test', 'coordinator'), 'http')}`;
  }

  networkOf(from: string, to: string): string {
    return `rondo-${this.#id}-${from}-${to}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  #object(kind: string): KubeObject {
    return this.objects.find((object) => object.kind === kind)!;
  }

  async #createNetwork({ from, to }: Arrow): Promise<void> {
    const network = this.networkOf(from, to);
    await docker('network', 'create', '--internal', network);
    this.#stack.defer(async () => {
      await docker('network', 'rm', network);
    });
  }

  async #startNats(): Promise<void> {
    const id = await startContainer(
      this.#networks('nats', ['rondo-nats']),
      ...['rondo-test/nats', '--jetstream', '--store_dir', '/tmp'],
    );
    this.#stack.defer(() => removeContainer(id));
  }

  #startOne(object: KubeObject, index: number): Promise<RunningPod> {
    return this.#start(object, `${object.metadata.name}-${index}`);
  }

  async #start(object: KubeObject, name: string): Promise<RunningPod> {
    const component = podLabels(object)['app.kubernetes.io/component']!;
    const pod = await RunningPod.start(podOf(object)!, {
      name,
      namespace: NAMESPACE,
      networks: this.#networks(component, this.#namesOf(object, component, name)),
      claims: { bundles: this.#bundle },
    });
    this.#stack.use(pod);
    return pod;
  }

  /** The names that Services give a pod. */
  #namesOf(object: KubeObject, component: string, pod: string): string[] {
    const service = object.kind === 'StatefulSet' ? (object.spec.serviceName as string) : undefined;
    if (service !== undefined) return [service, `${pod}.${service}.${NAMESPACE}.svc`];
    return component === 'coordinator' ? ['rondo', `rondo.${NAMESPACE}.svc`] : [];
  }

  /** The networks of a component; who is reached has names there. */
  #networks(component: string, names: readonly string[]): Record<string, readonly string[]> {
    const mine = this.arrows.filter(({ from, to }) => from === component || to === component);
    return Object.fromEntries(
      mine.map(({ from, to }) => [this.networkOf(from, to), to === component ? names : []]),
    );
  }
}
