import { execFile } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import type { KubeObject } from './kube-object.ts';

const run = promisify(execFile);
const ROOT = new URL('../..', import.meta.url).pathname;
const BUILT = join(ROOT, '.cache/bin/helm');
const NAMESPACE = 'prod';

const helm: string | undefined = existsSync(BUILT)
  ? BUILT
  : await run('helm', ['version']).then(
      () => 'helm',
      () => undefined,
    );

/** For `test(name, { skip: HELM_MISSING }, …)`: false, or why no chart can be drawn. */
export const HELM_MISSING: string | false =
  helm === undefined && 'there is no helm (make chart-tools builds one with Go)';

/** The values in infra/examples, by name. */
export const EXAMPLES: readonly { readonly name: string; readonly file: string }[] = globSync(
  join(ROOT, 'infra/examples/*.values.yaml'),
)
  .sort()
  .map((file) => ({ name: basename(file, '.values.yaml'), file }));

/** The least that can be installed. */
export const LEAST = {
  bundles: [{ name: 'looped', pvc: { claim: 'bundles' } }],
  pools: [{ name: 'cpu', bundle: 'looped' }],
};

/**
 * The chart in a directory of its own, whose dependency is an empty chart of its name: NATS' own comes from a registry that
 * tests do not ask. `helm` cannot draw a chart without its dependencies.
 */
export class Chart implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static copy(): Chart {
    const directory = join(mkdtempSync(join(tmpdir(), 'rondo-chart-')), 'rondo');
    cpSync(join(ROOT, 'charts/rondo'), directory, { recursive: true, dereference: true });
    const nats = join(directory, 'charts/nats');
    mkdirSync(nats, { recursive: true });
    writeFileSync(join(nats, 'Chart.yaml'), 'apiVersion: v2\nname: nats\nversion: 2.14.2\n');
    return new Chart(directory);
  }

  /** What helm would install as release `rondo` in namespace `prod`. @throws Error with helm's words */
  async render(values: object | string, release = 'rondo'): Promise<KubeObject[]> {
    const args = ['template', release, this.#directory, '--namespace', NAMESPACE, '--kube-version', '1.31.0'];
    const { stdout } = await this.#helm([...args, '--values'], values);
    return parseAllDocuments(stdout).flatMap((document) => {
      const object = document.toJS({ maxAliasCount: 1000 }) as KubeObject | null;
      return object === null ? [] : [object];
    });
  }

  /** @throws Error with helm's words when a rule is broken, a warning among them */
  async lint(values: object | string): Promise<string> {
    const { stdout } = await this.#helm(
      ['lint', '--strict', this.#directory, '--kube-version', '1.31.0', '--values'],
      values,
    );
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.#directory, '..'), { recursive: true });
  }

  async #helm(args: readonly string[], values: object | string): Promise<{ stdout: string }> {
    if (typeof values === 'string') return run(helm!, [...args, values], { maxBuffer: 1e8 });
    const file = join(this.#directory, '..', `${crypto.randomUUID()}.yaml`);
    await writeFile(file, stringify(values));
    return run(helm!, [...args, file], { maxBuffer: 1e8 });
  }
}
