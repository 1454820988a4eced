import { existsSync, readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import type { LiveFeed } from './live-feed.ts';
import { sendEvents } from './sse.ts';

/** Nothing from elsewhere, nothing inline, and no frame around it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ASSETS = [
  ['/console', 'index.html', 'text/html; charset=utf-8'],
  ['/console/console.js', 'console.js', 'text/javascript; charset=utf-8'],
  ['/console/console.css', 'console.css', 'text/css; charset=utf-8'],
] as const;

/** Where `make setup` puts the page. */
const BUILT = new URL('./console/built/', import.meta.url);

/** The page itself tells nothing and needs no key: a browser sends none when it opens one. All that it shows needs the key. */
export const CONSOLE_PAGES: readonly string[] = ASSETS.map(([path]) => path);

/** The page at /console and, at /console/live, what it shows. */
export function addConsoleRoutes(http: FastifyInstance, feed: LiveFeed): void {
  addConsolePages(http, BUILT);
  // HEAD would be a viewer without end that is told nothing.
  http.get('/console/live', { exposeHeadRoute: false }, async (_request, reply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    await sendEvents(reply, feed.frames(gone.signal));
    return reply;
  });
}

/** The page as it was built into the directory `built`, or how to build it. */
export function addConsolePages(http: FastifyInstance, built: URL): void {
  for (const [path, file, type] of ASSETS) {
    const content = contentOf(new URL(file, built));
    http.get(path, async (_request, reply) =>
      reply
        .code(content === undefined ? 503 : 200)
        .header('content-type', content === undefined ? 'text/plain; charset=utf-8' : type)
        .header('content-security-policy', POLICY)
        .header('x-content-type-options', 'nosniff')
        .header('referrer-policy', 'no-referrer')
        .header('cache-control', 'no-cache')
        .send(content ?? UNBUILT),
    );
  }
}

const UNBUILT =
  'The console is not built here: run make setup where Rondo is installed, then start the coordinator again.\n';

const contentOf = (file: URL): Buffer | undefined => (existsSync(file) ? readFileSync(file) : undefined);
