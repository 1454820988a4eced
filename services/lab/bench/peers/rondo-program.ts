/**
 * Decodes with Rondo's engine: `node rondo-program.ts <bundle> <threads> <kvBytes>`. A process of its own as every
 * peer has, so that its memory can be told. Speaks the protocol of peer-process.ts.
 */
import { createInterface } from 'node:readline';
import { openBundle } from '@rondo/bundle';
import { EngineLoop } from '../engine-loop.ts';
import type { DecodeRequest } from './peer-process.ts';

const [directory, threads, kvBytes] = process.argv.slice(2);
const say = (message: object) => process.stdout.write(`bench ${JSON.stringify(message)}\n`);

const bundle = await openBundle(directory!);
const loop = await EngineLoop.open(bundle, { threads: Number(threads), kvBytes: Number(kvBytes) });
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const { prompts, generate } = JSON.parse(line) as DecodeRequest;
  try {
    const { ids: _, ...times } = await loop.decode(prompts, generate);
    say({ ...times, residentBytes: process.memoryUsage.rss() });
  } catch (error) {
    say({ error: String((error as Error).message ?? error) });
  }
}
await loop.close();
