import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../free-port.ts';
import type { KubeObject } from './kube-object.ts';

const BINARIES = new URL('../../.cache/bin/', import.meta.url).pathname;
const LOOK_MS = 200;
/** How long it may take to be ready on a busy machine. */
const READY_MS = 120_000;

interface Answer {
  readonly status: number;
  readonly body: string;
  /** What the server remarks beside its answer, such as a pod that Pod Security would not let in. */
  readonly warnings: readonly string[];
}

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** A Kubernetes API server with its etcd on loopback, in a directory that goes with it. Nothing runs what it is told. */
export class ApiServer implements AsyncDisposable {
  readonly version: string;
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #token = randomBytes(16).toString('hex');
  readonly #resources = new Map<string, Promise<readonly Resource[] | undefined>>();
  #port = 0;

  private constructor(directory: string) {
    this.#directory = directory;
    this.version = execFileSync(join(BINARIES, 'kube-apiserver'), ['--version'], { encoding: 'utf8' })
      .replace('Kubernetes ', '')
      .trim();
  }

  /** @throws Error with the end of its log when it does not come to be ready */
  static async start(): Promise<ApiServer> {
    const server = new ApiServer(await mkdtemp(join(tmpdir(), 'rondo-api-server-')));
    try {
      await server.#start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const [client, peer] = [await freePort(), await freePort()];
    const etcd = `http://127.0.0.1:${client}`;
    this.#spawn('etcd', [
      ...[`--data-dir=${this.#path('etcd')}`, '--unsafe-no-fsync'],
      ...[`--listen-client-urls=${etcd}`, `--advertise-client-urls=${etcd}`],
      ...[
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      ],
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
    ]);
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeFile(this.#path('sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(this.#path('sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
    await writeFile(this.#path('tokens.csv'), `${this.#token},admin,admin,system:masters\n`, { mode: 0o600 });
    this.#port = await freePort();
    this.#spawn('kube-apiserver', [
      ...[`--etcd-servers=${etcd}`, `--cert-dir=${this.#path('certificates')}`],
      ...[
        '--bind-address=127.0.0.1',
        `--secure-port=${this.#port}`,
        '--service-cluster-ip-range=10.0.0.0/24',
      ],
      ...[
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${this.#path('sa.pub')}`,
      ],
      ...[
        `--service-account-signing-key-file=${this.#path('sa.key')}`,
        `--token-auth-file=${this.#path('tokens.csv')}`,
      ],
      // A pod's account is not there, for what makes it is only tried, too.
      ...['--authorization-mode=RBAC', '--disable-admission-plugins=ServiceAccount'],
    ]);
    for (const end = performance.now() + READY_MS; ; await delay(LOOK_MS)) {
      const answer = await this.#ask('GET', '/readyz').catch(() => undefined);
      if (answer?.status === 200) return;
      const gone = this.#children.find(({ exitCode }) => exitCode !== null);
      if (gone || performance.now() > end) {
        const log = readFileSync(this.#path('kube-apiserver.log'), 'utf8').split('\n').slice(-20).join('\n');
        throw new Error(
          `the API server ${gone ? 'has ended' : `is not ready after ${READY_MS / 1000} s`}:\n${log}`,
        );
      }
    }
  }

  /** Makes a namespace whose pods the restricted Pod Security Standard is to fit: those that do not are warned of. */
  async makeNamespace(name: string): Promise<void> {
    const labels = { 'pod-security.kubernetes.io/warn': 'restricted' };
    const metadata = { name, labels };
    await this.#ask('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
  }

  /**
   * What the server would make of `object` in `namespace`: applied by the server, every field known, all of admission run, nothing
   * kept. Undefined for a kind that it does not have.
   */
  async tryOut(object: KubeObject, namespace: string): Promise<Answer | undefined> {
    const { apiVersion, kind, metadata } = object;
    const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    let resources = this.#resources.get(group);
    if (resources === undefined) {
      resources = this.#ask('GET', group).then(({ status, body }) =>
        status === 200 ? (JSON.parse(body).resources as Resource[]) : undefined,
      );
      this.#resources.set(group, resources);
    }
    const resource = (await resources)?.find((each) => each.kind === kind && !each.name.includes('/'));
    if (resource === undefined) return undefined;
    const place = resource.namespaced ? `/namespaces/${namespace}` : '';
    const options = 'fieldManager=helm&fieldValidation=Strict&dryRun=All';
    return this.#ask('PATCH', `${group}${place}/${resource.name}/${metadata.name}?${options}`, object);
  }

  async #ask(method: string, path: string, body?: object): Promise<Answer> {
    const type = method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json';
    const asked = request({
      ...{ host: '127.0.0.1', port: this.#port, method, path },
      ca: readFileSync(this.#path('certificates/apiserver.crt')),
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': type },
    });
    asked.end(body && JSON.stringify(body));
    const [response] = await once(asked, 'response');
    const warnings = [response.headers.warning ?? []]
      .flat()
      .map((each: string) => each.replace(/^299 - /, ''));
    return { status: response.statusCode, body: await text(response), warnings };
  }

  #spawn(name: string, args: readonly string[]): void {
    const log = openSync(this.#path(`${name}.log`), 'w');
    this.#children.push(spawn(join(BINARIES, name), args, { stdio: ['ignore', log, log] }));
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  /** The API server first: without its etcd it would not end. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}
