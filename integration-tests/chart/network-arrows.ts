import { type KubeObject, podLabels, podOf, selects } from './kube-object.ts';

type Labels = Readonly<Record<string, string>>;

interface Peer {
  readonly podSelector?: { readonly matchLabels?: Labels };
  readonly namespaceSelector?: object;
  readonly ipBlock?: object;
}

interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly { readonly port: string | number }[];
}

interface Policy {
  readonly podSelector: { readonly matchLabels: Labels };
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

/** One kind of pod of a release, by the name of its component. */
export interface Component {
  readonly name: string;
  readonly labels: Labels;
  /** Number of a port by its name. */
  readonly ports: Readonly<Record<string, number>>;
}

/** `from → to:port`: pods of a component may open connections to that port of another's. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly port: number;
}

/** NATS' own chart makes its pods: these labels and ports are what ours expects of it. */
const NATS: Component = {
  name: 'nats',
  labels: { 'app.kubernetes.io/name': 'nats', 'app.kubernetes.io/instance': 'rondo' },
  ports: { nats: 4222, cluster: 6222 },
};

/** The components of a release `rondo`: one each, however many pools there are. */
export function componentsOf(objects: readonly KubeObject[]): Component[] {
  const found = new Map<string, Component>();
  for (const object of objects) {
    const pod = podOf(object);
    if (pod === undefined) continue;
    const labels = podLabels(object);
    const name = labels['app.kubernetes.io/component']!;
    const ports = pod.containers.flatMap(({ ports: of = [] }) =>
      of.map((port) => [port.name, port.containerPort]),
    );
    found.set(name, { name, labels, ports: Object.fromEntries(ports) });
  }
  return [...found.values(), NATS].sort((a, b) => a.name.localeCompare(b.name));
}

const policiesOf = (objects: readonly KubeObject[]): Policy[] =>
  objects.flatMap(({ kind, spec }) => (kind === 'NetworkPolicy' ? [spec as Policy] : []));

/** Whether a policy keeps everything in `direction` from pods of `component` that no rule allows. */
export const denies = (
  objects: readonly KubeObject[],
  { labels }: Component,
  direction: 'Ingress' | 'Egress',
): boolean =>
  policiesOf(objects).some(
    ({ podSelector, policyTypes }) =>
      selects(podSelector.matchLabels, labels) && policyTypes.includes(direction),
  );

/** The ports of `to` that the rules of one side open between two components of the namespace. */
function opened(rules: readonly Rule[], side: 'from' | 'to', peer: Component, to: Component): Set<number> {
  const open = rules.filter((rule) =>
    (rule[side] ?? []).some(
      ({ podSelector, namespaceSelector, ipBlock }) =>
        namespaceSelector === undefined &&
        ipBlock === undefined &&
        selects(podSelector?.matchLabels ?? {}, peer.labels),
    ),
  );
  const ports = open.flatMap(({ ports: of = [] }) =>
    of.map(({ port }) => (typeof port === 'number' ? port : to.ports[port]!)),
  );
  return new Set(ports);
}

/** Who may reach whom: what the sender's policies let out and the receiver's let in. */
export function arrowsOf(objects: readonly KubeObject[]): Arrow[] {
  const policies = policiesOf(objects);
  const components = componentsOf(objects);
  const rulesOf = ({ labels }: Component, side: 'ingress' | 'egress') =>
    policies
      .filter(({ podSelector }) => selects(podSelector.matchLabels, labels))
      .flatMap((policy) => policy[side] ?? []);
  return components.flatMap((from) =>
    components.flatMap((to) => {
      const out = opened(rulesOf(from, 'egress'), 'to', to, to);
      const into = opened(rulesOf(to, 'ingress'), 'from', from, to);
      return [...out]
        .filter((port) => into.has(port))
        .map((port) => ({ from: from.name, to: to.name, port }));
    }),
  );
}
