import { RondoError } from '@rondo/core';

/**
 * Of the admin addresses of workers those of one family, each of which answers: a worker whose name has addresses of IPv4 and of IPv6 has
 * one of each and may listen on one alone. A family that has fewer says nothing of all.
 * @throws RondoError NO_WORKER naming an address that does not answer, when no such family does
 */
export async function listening(addresses: readonly string[]): Promise<string[]> {
  const told = await Promise.allSettled(addresses.map(passesAt));
  const silent = told.find((each) => each.status === 'rejected');
  const families = [false, true].map((six) => addresses.filter((address) => address.startsWith('[') === six));
  const most = Math.max(...families.map(({ length }) => length));
  const answers = (address: string) => told[addresses.indexOf(address)]!.status === 'fulfilled';
  const whole = families.find((family) => family.length === most && family.every(answers));
  if (!whole) throw silent!.reason;
  return whole;
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
