const DIGEST = 'a'.repeat(64);

/** Values with all that can be switched on, so that no template stays undrawn. */
export const EVERYTHING = {
  labels: { team: 'serving' },
  images: {
    registry: 'registry.example/rondo/',
    pullSecrets: ['registry'],
    coordinator: { digest: `sha256:${DIGEST}` },
  },
  bundles: [
    { name: 'original', pvc: { claim: 'bundles', path: 'original' }, digest: DIGEST },
    {
      ...{ name: 'looped', url: 'https://models.example/looped', digest: DIGEST, sizeLimit: '2Gi' },
      authorizationSecret: 'models',
    },
    {
      ...{ name: 'stored', url: 'https://store.example/stored', digest: DIGEST },
      presignedSecret: 'stored-urls',
    },
    { name: 'small', image: 'registry.example/bundles/small:1', digest: DIGEST },
  ],
  coordinator: {
    routes: ['chat=original:90,looped:10'],
    shadows: ['chat=looped:5'],
    corsAllowOrigins: ['https://chat.example', '*'],
    ingress: { enabled: true, className: 'nginx', tlsSecret: 'public', annotations: { a: 'b' } },
    httpRoute: { enabled: true, parentRefs: [{ name: 'gateway' }], hostnames: ['rondo.example'] },
    autoscaling: { enabled: true },
    service: { annotations: { a: 'b' } },
    nodeSelector: { kind: 'general' },
    tolerations: [{ key: 'general', operator: 'Exists' }],
    podAnnotations: { a: 'b' },
    extraArgs: ['--worker=outside:7600'],
    extraEnv: [{ name: 'RONDO_LOG', value: 'debug' }],
    extraVolumes: [{ name: 'extra', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'extra', mountPath: '/extra' }],
  },
  worker: { podAnnotations: { a: 'b' } },
  pools: [
    {
      name: 'big',
      bundle: 'original',
      autoscaling: { enabled: true, kind: 'keda', maxReplicas: 4 },
      resources: { cpu: '1500m', memory: '3Gi' },
      nodeSelector: { kind: 'big' },
      tolerations: [{ key: 'big', operator: 'Exists' }],
      extraArgs: ['--no-prefix-cache'],
      extraEnv: [{ name: 'RONDO_LOG', value: 'debug' }],
      extraVolumes: [{ name: 'extra', emptyDir: {} }],
      extraVolumeMounts: [{ name: 'extra', mountPath: '/extra' }],
    },
    {
      name: 'lean',
      bundle: 'looped',
      autoscaling: { enabled: true, kind: 'hpa' },
      provider: 'cuda',
      resources: { gpus: 1 },
      runtimeClassName: 'nvidia',
    },
    { name: 'small', bundle: 'small', replicas: 5, drainSeconds: 20, spreadOver: '' },
  ],
  membership: { copies: 3, credentialsSecret: 'nats', caSecret: 'nats-ca' },
  apiKeys: { existingSecret: 'keys' },
  tls: { certManager: { enabled: true, issuer: 'cluster' }, httpsSecret: 'https' },
  networkPolicies: {
    bundles: [{ ipBlock: { cidr: '192.0.2.0/24' } }],
    otlp: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
  },
  monitoring: {
    podMonitors: true,
    rules: true,
    dashboards: true,
    labels: { release: 'prometheus' },
    otlpEndpoint: 'http://collector.monitoring:4317',
  },
  serviceAccount: { annotations: { a: 'b' } },
  tests: { apiKeySecret: 'test-key', caSecret: 'https-ca' },
};

/** The same, found by Prometheus in the other of two ways. */
export const BY_SERVICES = {
  ...EVERYTHING,
  monitoring: { ...EVERYTHING.monitoring, podMonitors: false, serviceMonitor: true },
};
