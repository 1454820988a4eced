import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RondoError } from '@rondo/core';
import { STATES_NODE } from './device-states.ts';
import type { Provider } from './provider.ts';
import type { Session } from './session.ts';

/** What a pass is made of, under any of the names that the optimiser gives it. The indices around may be computed on the host. */
const PRODUCT = /MatMul|Gemm/;

interface NodeEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

/** Where the runtime says that an operator ran. */
const RAN_ON: Readonly<Record<Provider, string>> = {
  cpu: 'CPUExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
  cuda: 'CUDAExecutionProvider',
};

/**
 * Sees where the warm-up pass really ran. The runtime gives an operator that a provider does not have to the CPU, silently;
 * its own profile of the run tells.
 */
export class ProviderProof {
  readonly #directory: string;
  readonly #sessions: Session[] = [];

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'rondo-provider-'));
  }

  /** Where the next session to watch puts its profile; the runtime adds the second to it. */
  nextPrefix(): string {
    return join(this.#directory, `session-${this.#sessions.length}`);
  }

  watch(session: Session): void {
    this.#sessions.push(session);
  }

  /**
   * Ends the profiles of the sessions watched and reads them.
   * @throws RondoError CONFIG_INVALID when a matrix product ran elsewhere than on `provider`, or none ran.
   */
  check(provider: Provider): void {
    for (const session of this.#sessions.splice(0)) session.endProfiling();
    const seen = readdirSync(this.#directory).flatMap((file) =>
      (JSON.parse(readFileSync(join(this.#directory, file), 'utf8')) as NodeEvent[]).flatMap(productOf),
    );
    const elsewhere = seen.filter((event) => event.provider !== RAN_ON[provider]);
    if (seen.length > 0 && elsewhere.length === 0) return;
    const where = [...new Set(elsewhere.map((event) => `${event.op} on ${event.provider}`))].join(', ');
    throw new RondoError(
      'CONFIG_INVALID',
      `provider ${provider}: ${elsewhere.length} of ${seen.length} matrix products and moves of states of the first pass ran elsewhere (${where}); convert the bundle again if it is of an older version, or use --provider cpu`,
    );
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Of a product, or of what must not bring states to the host. */
function productOf({ cat, name, args }: NodeEvent): { op: string; provider: string }[] {
  const { op_name: op, provider } = args ?? {};
  return cat === 'Node' && op && provider && (PRODUCT.test(op) || name?.startsWith(STATES_NODE))
    ? [{ op, provider }]
    : [];
}
