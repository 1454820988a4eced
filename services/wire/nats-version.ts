import { RondoError } from '@rondo/core';

/** Keys of a bucket that live for a time of their own came with this version. */
const MINIMUM = [2, 11] as const;

/** @throws RondoError CONFIG_INVALID naming the version found, when it is older than 2.11 or no version at all. */
export function checkNatsVersion(server: string, version: string): void {
  const [, major, minor] = /^(\d+)\.(\d+)\./.exec(version) ?? [];
  const enough = Number(major) > MINIMUM[0] || (Number(major) === MINIMUM[0] && Number(minor) >= MINIMUM[1]);
  if (enough) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `NATS server ${server} has version ${version}, but ${MINIMUM.join('.')} or newer is needed, whose keys can expire one by one; upgrade the server`,
  );
}
