import { RondoError } from '@rondo/core';

/**
 * Those of the admin addresses of workers that answer. A worker whose name has addresses of IPv4 and of IPv6 may listen on one alone:
 * as many must answer as there are of the family that has more.
 * @throws RondoError NO_WORKER naming one that does not, when too few do
 */
export async function listening(addresses: readonly string[]): Promise<string[]> {
  const told = await Promise.allSettled(addresses.map(passesAt));
  const silent = told.find((each) => each.status === 'rejected');
  const answering = addresses.filter((_, index) => told[index]!.status === 'fulfilled');
  const six = addresses.filter((address) => address.startsWith('[')).length;
  if (silent !== undefined && answering.length < Math.max(six, addresses.length - six)) throw silent.reason;
  return answering;
}

/** Runs of the block at each admin address so far. @throws RondoError NO_WORKER for one that does not tell */
export const passesOf = async (addresses: readonly string[]): Promise<Map<string, number>> =>
  new Map(await Promise.all(addresses.map(async (address) => [address, await passesAt(address)] as const)));

async function passesAt(address: string): Promise<number> {
  const response = await fetch(`http://${address}/metrics`).catch((cause: Error) => {
    throw new RondoError('NO_WORKER', `http://${address}/metrics: ${cause.message}`, { cause });
  });
  const runs = /^rondo_step_rows_count\{[^}]*phase="block"[^}]*\} (\d+)/m.exec(await response.text())?.[1];
  return Number(runs ?? 0);
}
