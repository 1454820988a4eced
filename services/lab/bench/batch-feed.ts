import { RondoError } from '@rondo/core';
import type { Workload } from '../load/workload.ts';

/** A batch that never runs out of lines while it is measured; its lines are completions of token ids. */
export class BatchFeed implements AsyncDisposable {
  readonly #url: string;
  readonly #id: string;

  private constructor(url: string, id: string) {
    this.#url = url;
    this.#id = id;
  }

  /** @param url of a coordinator with NATS, without a slash at its end */
  static async start(url: string, model: string, workload: Workload, lines: number): Promise<BatchFeed> {
    const text = Array.from({ length: lines }, (_, index) => {
      const { promptIds, maxTokens, seed } = workload.request(index);
      const body = {
        model,
        prompt: promptIds,
        max_tokens: maxTokens,
        seed,
        temperature: 0,
        ignore_eos: true,
      };
      return JSON.stringify({ custom_id: String(index), method: 'POST', url: '/v1/completions', body });
    }).join('\n');
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', new Blob([text]), 'lines.jsonl');
    const { id: input_file_id } = await ask(url, '/v1/files', { method: 'POST', body: form });
    const body = JSON.stringify({ input_file_id, endpoint: '/v1/completions', completion_window: '1h' });
    const headers = { 'content-type': 'application/json' };
    const { id } = await ask(url, '/v1/batches', { method: 'POST', headers, body });
    return new BatchFeed(url, id);
  }

  /** @throws RondoError ENGINE_FAILED when it ran out of lines, or its lines fail: then nothing was measured */
  async check(): Promise<void> {
    const { status, request_counts: counts } = await ask(this.#url, `/v1/batches/${this.#id}`);
    if (status === 'in_progress' && counts?.failed === 0) return;
    const found = `batch ${this.#id} is ${status}, ${counts?.completed} lines completed, ${counts?.failed} failed`;
    throw new RondoError('ENGINE_FAILED', `${found}: expected it to go on`);
  }

  /** Cancels it: what runs ends, nothing else starts. */
  async [Symbol.asyncDispose](): Promise<void> {
    await ask(this.#url, `/v1/batches/${this.#id}/cancel`, { method: 'POST' });
  }
}

interface Answer {
  readonly id: string;
  readonly status?: string;
  readonly request_counts?: { readonly completed: number; readonly failed: number };
}

async function ask(url: string, path: string, request: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${url}${path}`, request);
  if (response.ok) return (await response.json()) as Answer;
  throw new RondoError('ENGINE_FAILED', `${path} answers ${response.status}: ${await response.text()}`);
}
