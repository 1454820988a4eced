import type { FastifyInstance } from 'fastify';
import type { Listed, Models } from './models.ts';
import { detokenize, tokenize, tokenizerInfo } from './tokenize.ts';

/** What can be asked about models without generating: which there are, and their tokens. */
export function addModelRoutes(http: FastifyInstance, models: Models): void {
  http.post('/tokenize', async ({ body }) => tokenize(body, models.serviceFor(body)));
  http.post('/detokenize', async ({ body }) => detokenize(body, models.serviceFor(body)));
  http.get<{ Querystring: { model?: string } }>('/tokenizer_info', async ({ query }) =>
    tokenizerInfo(models.serviceFor(query)),
  );
  const created = Math.floor(Date.now() / 1000);
  const listed = ({ name, most, maxDepth }: Listed) => ({
    id: name,
    object: 'model',
    created,
    owned_by: 'rondo',
    max_model_len: most,
    max_depth: maxDepth,
  });
  http.get('/v1/models', async () => ({
    object: 'list',
    data: models.listed.map(listed),
  }));
  // A wildcard, because model names may hold slashes.
  http.get<{ Params: { '*': string } }>('/v1/models/*', async ({ params }) =>
    listed(models.describe(params['*'])),
  );
}
