/**
 * `make chart-server`: has a Kubernetes API server look at every object that the chart draws, of each example and of all that can
 * be switched on: server-side apply as a dry run. A line for each; ends with an error when one is refused or warned of.
 */
import assert from 'node:assert/strict';
import { ApiServer } from './api-server.ts';
import { BY_SERVICES, EVERYTHING } from './everything.ts';
import { Chart, EXAMPLES, HELM_MISSING } from './helm.ts';

/** A path of the node, which restricted Pod Security forbids and a laptop has. */
const ON_A_LAPTOP = /^laptop .*restricted volume types/;

if (HELM_MISSING !== false) throw new Error(HELM_MISSING);
await using server = await ApiServer.start();
await using chart = Chart.copy();
await assertWatchful();
const counts = { taken: 0, refused: 0, 'not known there': 0 };
const unknown = new Set<string>();
for (const { name, file } of [
  { name: 'everything', file: EVERYTHING },
  { name: 'by-services', file: BY_SERVICES },
  ...EXAMPLES,
]) {
  await server.makeNamespace(name);
  for (const object of await chart.render(file)) {
    const what = `${name} ${object.kind}/${object.metadata.name}`;
    const answer = await server.tryOut(
      { ...object, metadata: { ...object.metadata, namespace: name } },
      name,
    );
    if (answer === undefined) {
      counts['not known there']++;
      unknown.add(object.kind);
      continue;
    }
    const faults = [
      ...(answer.status < 300 ? [] : [String(JSON.parse(answer.body).message)]),
      ...answer.warnings.filter((warning) => !ON_A_LAPTOP.test(`${name} ${warning}`)),
    ];
    counts[faults.length === 0 ? 'taken' : 'refused']++;
    console.log(
      `${faults.length === 0 ? 'ok' : 'NOT OK'}  ${what}${faults.map((fault) => `\n        ${fault}`).join('')}`,
    );
  }
}
console.log(
  `Kubernetes ${server.version}: ${Object.entries(counts)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ')} (${[...unknown].sort().join(', ')}: kinds of operators)`,
);
if (counts.refused > 0) process.exitCode = 1;

/** A server that took everything would prove nothing: a field that is misspelt it refuses, and of a pod with too many rights it warns. */
async function assertWatchful(): Promise<void> {
  const metadata = { name: 'wrong', namespace: 'wrong', labels: {} };
  await server.makeNamespace('wrong');
  const tried = (kind: string, spec: object) =>
    server.tryOut({ apiVersion: 'v1', kind, metadata, spec }, 'wrong');
  const misspelt = await tried('Service', { clusterIP: 'None', ports: [{ port: 1, nmae: 'a' }] });
  assert.ok(misspelt && misspelt.status >= 400, misspelt?.body);
  assert.match(misspelt.body, /nmae/);
  const warned = await tried('Pod', { containers: [{ name: 'a', image: 'a' }] });
  assert.equal(warned?.status, 201, warned?.body);
  assert.match(warned.warnings.join(), /allowPrivilegeEscalation/);
}
