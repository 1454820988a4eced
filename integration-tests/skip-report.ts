import type { TestEvent } from 'node:test/reporters';

/** A node:test reporter that says, after everything else, what did not run and why. */
export default async function* skipReport(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const namesByReason = new Map<string, string[]>();
  for await (const event of source) {
    if (event.type !== 'test:pass' || event.data.skip === undefined) continue;
    const reason = typeof event.data.skip === 'string' ? event.data.skip : 'no reason given';
    namesByReason.set(reason, [...(namesByReason.get(reason) ?? []), event.data.name]);
  }
  yield namesByReason.size === 0 ? '\nSkipped: nothing.\n' : '\nSkipped:\n';
  for (const [reason, names] of namesByReason) yield `  because ${reason}: ${names.join(', ')}\n`;
}
