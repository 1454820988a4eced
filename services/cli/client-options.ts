import { WatchedFiles } from '@rondo/chassis';
import { type CoordinatorOptions, parseApiKeys } from '@rondo/coordinator';
import { LIMITS } from '@rondo/core';
import type { Command } from 'commander';
import { countOption, originsOption } from './options.ts';
import type { Chassis } from './serve.ts';
import { addHttpsOptions, type HttpsFlags, openHttps } from './tls-options.ts';

/** What `rondo run` and `rondo coordinator` let say of the clients they serve. */
export interface ClientFlags extends HttpsFlags {
  readonly apiKeys?: string;
  readonly corsAllowOrigin?: string[];
  readonly maxConcurrentRequests: number;
}

export const CLIENT_HELP = `
With --api-keys every request but /health, /healthz, /live and the console's page needs one of the file's keys (rondo key new makes them):
Authorization: Bearer <key>. The file is followed; a changed one that is malformed is refused, and the keys stay.
Browsers let a page read answers only if its origin is named by --cors-allow-origin; without keys, that lets it use this server.`;

export const addClientOptions = (command: Command): Command =>
  addHttpsOptions(
    command
      .option('--api-keys <file>', 'let in only clients with a key of this file')
      .option(
        '--cors-allow-origin <origin>',
        'let pages of this origin ask, such as https://chat.example, or * for any; repeat the option for each',
        originsOption('--cors-allow-origin'),
      )
      .option(
        '--max-concurrent-requests <n>',
        'requests held at once for each model, running and waiting; those beyond are answered 429',
        countOption('--max-concurrent-requests', LIMITS.requestsInFlightMax),
        LIMITS.requestsInFlight,
      ),
  );

/** @throws RondoError CONFIG_INVALID naming the file, and its line, that cannot be used. */
export async function clientOptions(
  flags: ClientFlags,
  chassis: Chassis,
): Promise<Pick<CoordinatorOptions, 'apiKeys' | 'https' | 'origins' | 'requestsInFlight'>> {
  const { apiKeys: path, corsAllowOrigin: origins, maxConcurrentRequests: requestsInFlight } = flags;
  const { log, metrics, lifecycle } = chassis;
  const https = await openHttps(flags, chassis);
  if (path === undefined) return { https, origins, requestsInFlight };
  const apiKeys = await WatchedFiles.open({
    what: 'api-keys',
    paths: [path],
    compile: ([text = '']) => parseApiKeys(path, text),
    log,
    metrics,
  });
  lifecycle.onStop('api-keys file', () => apiKeys.close());
  return { apiKeys, https, origins, requestsInFlight };
}
