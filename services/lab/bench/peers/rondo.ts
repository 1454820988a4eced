import { join } from 'node:path';
import { bundleBytes, pagedKvBytesPerToken } from '@rondo/bundle';
import { benchBundle } from '../bench-bundle.ts';
import type { Contestant, Peer, PeerSetting } from './contestant.ts';

const PROGRAM = join(import.meta.dirname, 'rondo-program.ts');
/** What an engine may hold beside weights and K/V. */
const OWN_BYTES = 400e6;

/** Rondo's engine on the unlooped bundle, in each precision. */
export const rondo: Peer = { engine: 'rondo', prepare };

async function prepare({ context, positionsMax }: PeerSetting): Promise<readonly Contestant[]> {
  const contestants: Contestant[] = [];
  for (const precision of ['int4', 'int8', 'f32'] as const) {
    const { directory, manifest } = await benchBundle(context, { precision });
    const kvBytes = positionsMax * pagedKvBytesPerToken(manifest);
    const weightBytes = bundleBytes(manifest);
    contestants.push({
      engine: 'rondo',
      variant: precision,
      command: [process.execPath, PROGRAM, directory, String(context.threads), String(kvBytes)],
      residentBytesMax: weightBytes + kvBytes + OWN_BYTES,
    });
  }
  return contestants;
}
