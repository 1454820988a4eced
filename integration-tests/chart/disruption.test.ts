import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LIMITS } from '@rondo/core';
import { EVERYTHING } from './everything.ts';
import { Chart, HELM_MISSING } from './helm.ts';
import { argument, type KubeObject, podLabels, podOf, selects } from './kube-object.ts';

describe('disruption', { skip: HELM_MISSING }, () => {
  const chart = Chart.copy();
  after(() => chart[Symbol.asyncDispose]());
  let objects: KubeObject[];
  let workloads: KubeObject[];
  before(async () => {
    objects = await chart.render(EVERYTHING);
    workloads = objects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind));
  });

  test('a pod has the time that its drain, its end and what comes before take', () => {
    assert.equal(workloads.length, 4);
    for (const workload of workloads) {
      const pod = podOf(workload)!;
      const [{ args, lifecycle }] = pod.containers as [(typeof pod.containers)[0]];
      const preStop = lifecycle?.preStop.sleep.seconds ?? 0;
      const drain = Number(argument(args, 'drain-seconds'));
      const needed = preStop + drain + LIMITS.stopMs / 1000;
      assert.ok(pod.terminationGracePeriodSeconds! > needed, `${workload.metadata.name}: ${needed}`);
      assert.ok(pod.terminationGracePeriodSeconds! <= needed + 10, `${workload.metadata.name}: ${needed}`);
    }
  });

  test('coordinators go on serving while Services forget them; workers tell NATS and need not', () => {
    for (const workload of workloads) {
      const { lifecycle } = podOf(workload)!.containers[0]!;
      assert.equal(lifecycle !== undefined, workload.kind === 'Deployment');
    }
  });

  test('each workload has a budget of its own that takes one pod at a time, and never waits for a sick one', () => {
    const budgets = objects.filter(({ kind }) => kind === 'PodDisruptionBudget');
    for (const workload of workloads) {
      const selecting = budgets.filter(({ spec }) => selects(spec.selector.matchLabels, podLabels(workload)));
      assert.equal(selecting.length, 1, workload.metadata.name);
      assert.equal(selecting[0]!.spec.maxUnavailable, 1);
      assert.equal(selecting[0]!.spec.unhealthyPodEvictionPolicy, 'AlwaysAllow');
    }
    assert.equal(budgets.length, workloads.length);
  });

  test('a new coordinator is ready before an old one goes; workers are replaced one by one', () => {
    for (const { kind, spec } of workloads) {
      if (kind === 'Deployment')
        assert.deepEqual(spec.strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
      else assert.deepEqual([spec.updateStrategy.type, spec.minReadySeconds > 0], ['RollingUpdate', true]);
    }
  });

  test('pods of one kind are spread over nodes', () => {
    for (const workload of workloads) {
      const [spread] = podOf(workload)!.topologySpreadConstraints ?? [];
      if (workload.metadata.name === 'rondo-small') assert.equal(spread, undefined);
      else
        assert.ok(
          selects(
            (spread as { labelSelector: { matchLabels: object } }).labelSelector.matchLabels as Record<
              string,
              string
            >,
            podLabels(workload),
          ),
        );
    }
  });

  test('a bundle that changes rolls the pods that hold it, and no others', async () => {
    const sums = (drawn: readonly KubeObject[]) =>
      Object.fromEntries(
        drawn.flatMap(({ kind, metadata, spec }) =>
          ['Deployment', 'StatefulSet'].includes(kind)
            ? [[metadata.name, JSON.stringify(spec.template.metadata.annotations)]]
            : [],
        ),
      );
    const bundles = EVERYTHING.bundles.map((bundle) =>
      bundle.name === 'looped' ? { ...bundle, digest: 'b'.repeat(64) } : bundle,
    );
    const [before, after] = [sums(objects), sums(await chart.render({ ...EVERYTHING, bundles }))];
    assert.deepEqual(
      Object.keys(before)
        .filter((name) => before[name] !== after[name])
        .sort(),
      ['rondo', 'rondo-lean'],
    );
  });
});
