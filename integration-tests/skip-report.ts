import type { TestEvent } from 'node:test/reporters';

/** A node:test reporter that says, after everything else, which tests did not run and why. */
export default async function* skipReport(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skipped: string[] = [];
  for await (const event of source) {
    if (event.type !== 'test:pass' || event.data.skip === undefined) continue;
    const reason = typeof event.data.skip === 'string' ? event.data.skip : 'no reason given';
    skipped.push(`  ${event.data.name}: ${reason}\n`);
  }
  yield skipped.length === 0 ? '\nNothing was skipped.\n' : `\nSkipped:\n${skipped.join('')}`;
}
