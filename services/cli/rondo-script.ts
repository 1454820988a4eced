import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RondoError } from '@rondo/core';

const SCRIPT = fileURLToPath(new URL('../../rondo', import.meta.url));

/**
 * The script that runs `rondo` in processes of their own, with the bounds that each command's heap needs.
 * @throws RondoError CONFIG_INVALID where there is none, which is in images; `instead` is what to do there.
 */
export function rondoScript(instead: string): string {
  if (existsSync(SCRIPT)) return SCRIPT;
  throw new RondoError('CONFIG_INVALID', `${SCRIPT} is not there, as in an image: ${instead}`);
}
