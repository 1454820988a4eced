import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Container, PodSpec, Probe } from '../chart/kube-object.ts';

const execute = promisify(execFile);

/** Runs `docker …args`. @throws Error with its standard error */
export const docker = async (...args: string[]): Promise<string> =>
  (await execute('docker', args, { maxBuffer: 1e7 })).stdout.trim();

/** Networks to join, and the names that a container has in each. */
type Networks = Readonly<Record<string, readonly string[]>>;

/** Starts a container in `networks`; `args` are options, its image and its command. @returns its id */
export async function startContainer(networks: Networks, ...args: readonly string[]): Promise<string> {
  const [[first, aliases], ...others] = Object.entries(networks) as [
    [string, readonly string[]],
    ...[string, readonly string[]][],
  ];
  const named = aliases.map((alias) => `--network-alias=${alias}`);
  const id = await docker('create', `--network=${first}`, ...named, ...args);
  try {
    for (const [network, names] of others) {
      await docker('network', 'connect', ...names.flatMap((name) => ['--alias', name]), network, id);
    }
    await docker('start', id);
    return id;
  } catch (error) {
    await removeContainer(id);
    throw error;
  }
}

export async function removeContainer(id: string): Promise<void> {
  await docker('rm', '--force', '--volumes', id);
}

/** Where a pod is to run: what Kubernetes knows and the manifest does not. */
export interface Place {
  readonly name: string;
  readonly namespace: string;
  readonly networks: Networks;
  /** Directories of this machine that stand for claims, by the claim's name. */
  readonly claims: Readonly<Record<string, string>>;
}

/** A pod of one container, run by Docker as the manifest says: user, root, capabilities, limits, mounts, environment, arguments. */
export class RunningPod implements AsyncDisposable {
  readonly name: string;
  readonly #spec: PodSpec;
  readonly #container: Container;
  readonly #id: string;
  /** By which it is asked how it is. */
  readonly #network: string;

  private constructor(name: string, spec: PodSpec, id: string, network: string) {
    this.name = name;
    this.#network = network;
    this.#spec = spec;
    this.#container = spec.containers[0]!;
    this.#id = id;
  }

  static async start(spec: PodSpec, place: Place): Promise<RunningPod> {
    const [container] = spec.containers as [Container];
    const env = environmentOf(container, place);
    const id = await startContainer(
      place.networks,
      ...securityOf(spec, container),
      ...limitsOf(container),
      ...mountsOf(spec, container, place),
      ...[...env].map(([name, value]) => `--env=${name}=${value}`),
      container.image,
      ...container.args.map((arg) => expand(arg, env)),
    );
    return new RunningPod(place.name, spec, id, Object.keys(place.networks)[0]!);
  }

  /** What probes and clients reach on `network`, by the name of a port. */
  async address(network: string, port: string): Promise<string> {
    const ip = await docker(
      'inspect',
      '--format',
      `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`,
      this.#id,
    );
    return `${ip}:${this.#container.ports!.find(({ name }) => name === port)!.containerPort}`;
  }

  /** Asks as the kubelet does, by the first network: once. */
  async probes(kind: 'startupProbe' | 'livenessProbe' | 'readinessProbe'): Promise<boolean> {
    const { httpGet, tcpSocket, timeoutSeconds = 1 } = this.#container[kind]!;
    const address = await this.address(this.#network, (httpGet ?? tcpSocket)!.port);
    const response = await fetch(`http://${address}${httpGet?.path ?? '/'}`, {
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    }).catch(() => undefined);
    await response?.body?.cancel();
    // A port that is open is all that tcpSocket asks for.
    return response !== undefined && (tcpSocket !== undefined || response.ok);
  }

  /** As often as the manifest lets it fail. @throws Error with the pod's log when it never passes */
  async passes(
    kind: 'startupProbe' | 'readinessProbe',
    tries = this.#container[kind]!.failureThreshold,
  ): Promise<void> {
    const { periodSeconds }: Probe = this.#container[kind]!;
    for (let asked = 0; asked < tries * 10; asked++) {
      if (await this.probes(kind)) return;
      await delay(periodSeconds * 100);
    }
    throw new Error(`${this.name}: ${kind} never passed:\n${await this.log()}`);
  }

  /** What the admin port tells at `path`. */
  async tells(path: string): Promise<string> {
    return (await fetch(`http://${await this.address(this.#network, 'admin')}${path}`)).text();
  }

  /** Runs node in the pod. @throws Error with its standard error */
  run(script: string): Promise<string> {
    return docker('exec', this.#id, 'node', '-e', script);
  }

  async log(): Promise<string> {
    const { stdout, stderr } = await execute('docker', ['logs', this.#id], { maxBuffer: 1e8 });
    return stdout + stderr;
  }

  /** Waits for the end of a pod that runs to completion; its exit code. */
  async ended(): Promise<number> {
    return Number(await docker('wait', this.#id));
  }

  /** What Kubernetes does to a pod that it deletes. Resolves to the exit code: 137 when the time was over and it was killed. */
  async terminate(): Promise<number> {
    const grace = this.#spec.terminationGracePeriodSeconds!;
    const preStop = this.#container.lifecycle?.preStop.sleep.seconds ?? 0;
    await delay(preStop * 1000);
    await docker('stop', `--time=${grace - preStop}`, this.#id);
    return Number(await docker('inspect', '--format', '{{.State.ExitCode}}', this.#id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeContainer(this.#id);
  }
}

function environmentOf({ env = [] }: Container, { name, namespace }: Place): Map<string, string> {
  const fields: Readonly<Record<string, string>> = { 'metadata.name': name, 'metadata.namespace': namespace };
  return new Map(
    env.map(({ name: variable, value, valueFrom }) => {
      const field = (valueFrom as { fieldRef?: { fieldPath: string } } | undefined)?.fieldRef?.fieldPath;
      return [variable, value ?? fields[field!]!];
    }),
  );
}

const expand = (arg: string, env: ReadonlyMap<string, string>): string =>
  arg.replaceAll(/\$\((\w+)\)/g, (all, name: string) => env.get(name) ?? all);

function securityOf({ securityContext: pod }: PodSpec, { securityContext: own }: Container): string[] {
  return [
    `--user=${pod.runAsUser}:${pod.runAsGroup}`,
    ...(own.readOnlyRootFilesystem ? ['--read-only'] : []),
    ...own.capabilities.drop.map((capability) => `--cap-drop=${capability}`),
    ...(own.allowPrivilegeEscalation ? [] : ['--security-opt=no-new-privileges']),
  ];
}

const MEMORY_UNITS: Readonly<Record<string, string>> = { Mi: 'm', Gi: 'g' };

function limitsOf({ resources: { limits } }: Container): string[] {
  const [, amount, unit] = /^(\d+)(Mi|Gi)$/.exec(String(limits.memory))!;
  const memory = `--memory=${amount}${MEMORY_UNITS[unit!]}`;
  if (limits.cpu === undefined) return [memory];
  const [, count, milli] = /^([\d.]+)(m?)$/.exec(String(limits.cpu))!;
  return [memory, `--cpus=${Number(count) / (milli === 'm' ? 1000 : 1)}`];
}

interface Volume {
  readonly name: string;
  readonly emptyDir?: { readonly sizeLimit: string };
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly hostPath?: { readonly path: string };
}

function mountsOf({ volumes = [] }: PodSpec, { volumeMounts = [] }: Container, { claims }: Place): string[] {
  return volumeMounts.map(({ name, mountPath, readOnly }) => {
    const { emptyDir, persistentVolumeClaim, hostPath } = volumes.find(
      (volume) => volume.name === name,
    ) as unknown as Volume;
    if (emptyDir) return `--tmpfs=${mountPath}:mode=1777,size=${emptyDir.sizeLimit.replace('Mi', 'm')}`;
    const directory = hostPath?.path ?? claims[persistentVolumeClaim!.claimName];
    return `--volume=${directory}:${mountPath}${readOnly ? ':ro' : ''}`;
  });
}
