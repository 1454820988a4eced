import type { FastifyInstance } from 'fastify';

/** What a page may read of an answer besides its body and what every page may read. */
const EXPOSED = [
  'retry-after',
  'x-request-id',
  'x-rondo-variant',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
].join(', ');

/** How long a browser may remember a preflight, in seconds: two hours, which is the most that Chromium does. */
const REMEMBERED_S = 7200;

/**
 * Lets pages of these origins read answers, `*` for pages of any (Fetch standard, CORS protocol). Added before whatever refuses
 * requests, so that a page can read why. A preflight carries no key and is answered here; what it asks for is refused later, if at all.
 */
export function allowOrigins(http: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  const any = origins.includes('*');
  const allowed = new Set(origins);
  http.addHook('onRequest', async ({ method, headers }, reply) => {
    // What is kept of an answer for one origin must not be given to another.
    if (!any) reply.header('vary', 'origin');
    const { origin } = headers;
    if (origin === undefined || !(any || allowed.has(origin))) return;
    reply.header('access-control-allow-origin', any ? '*' : origin);
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) {
      reply.header('access-control-expose-headers', EXPOSED);
      return;
    }
    reply.header('access-control-allow-methods', 'GET, POST, DELETE');
    const asked = headers['access-control-request-headers'];
    if (asked !== undefined) reply.header('access-control-allow-headers', asked);
    return reply.header('access-control-max-age', REMEMBERED_S).code(204).send();
  });
}
