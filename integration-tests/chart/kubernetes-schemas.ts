import { existsSync, readFileSync } from 'node:fs';
import { Certificate } from '@kubernetes-models/cert-manager/cert-manager.io/v1';
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import {
  PodMonitor,
  PrometheusRule,
  ServiceMonitor,
} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { KubeObject } from './kube-object.ts';

const DIRECTORY = new URL('../../.cache/kubernetes/schemas-1.37.0/', import.meta.url);
const VERSIONS = ['1.31', '1.32', '1.33', '1.34'];

/** For `test(name, { skip: SCHEMAS_MISSING }, …)`: false, or why objects cannot be validated. */
export const SCHEMAS_MISSING: string | false =
  !existsSync(DIRECTORY) && 'the schemas of Kubernetes are not here (make chart-tools fetches them with pip)';

interface Definition {
  readonly 'x-kubernetes-group-version-kind'?: readonly {
    readonly group: string;
    readonly version: string;
    readonly kind: string;
  }[];
}

/** Kinds that operators add, checked by the definitions that their authors publish. */
const CUSTOM: Readonly<Record<string, new (object: never) => { validate(): void }>> = {
  'cert-manager.io/v1/Certificate': Certificate,
  'gateway.networking.k8s.io/v1/HTTPRoute': HTTPRoute,
  'keda.sh/v1alpha1/ScaledObject': ScaledObject,
  'monitoring.coreos.com/v1/PodMonitor': PodMonitor,
  'monitoring.coreos.com/v1/PrometheusRule': PrometheusRule,
  'monitoring.coreos.com/v1/ServiceMonitor': ServiceMonitor,
};

/** The API of one Kubernetes version. */
export class KubernetesSchemas {
  readonly version: string;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  readonly #definitions = new Map<string, string>();
  readonly #compiled = new Map<string, ValidateFunction>();

  private constructor(version: string) {
    this.version = version;
    const schema = JSON.parse(readFileSync(new URL(`${version}.json`, DIRECTORY), 'utf8')) as {
      $id: string;
      $defs: Record<string, Definition>;
    };
    this.#ajv.addSchema(schema, 'kubernetes');
    for (const [name, definition] of Object.entries(schema.$defs)) {
      const kinds = definition['x-kubernetes-group-version-kind'] ?? [];
      if (kinds.length !== 1) continue;
      const [{ group, version: apiVersion, kind }] = kinds as [
        { group: string; version: string; kind: string },
      ];
      this.#definitions.set(`${group === '' ? '' : `${group}/`}${apiVersion}/${kind}`, name);
    }
  }

  /** All that the chart supports. */
  static all(): KubernetesSchemas[] {
    return VERSIONS.map((version) => new KubernetesSchemas(version));
  }

  /** What is wrong with `object`: unknown fields, wrong types, kinds that this version does not have. */
  faults(object: KubeObject): string[] {
    const kind = `${object.apiVersion}/${object.kind}`;
    const Custom = CUSTOM[kind];
    if (Custom !== undefined) return customFaults(new Custom(object as never));
    const name = this.#definitions.get(kind);
    if (name === undefined) return [`${kind}: Kubernetes ${this.version} knows no such kind`];
    let validate = this.#compiled.get(name);
    if (validate === undefined) {
      validate = this.#ajv.compile({ $ref: `kubernetes#/$defs/${name}` });
      this.#compiled.set(name, validate);
    }
    validate(object);
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }
}

function customFaults(model: { validate(): void }): string[] {
  try {
    model.validate();
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}
