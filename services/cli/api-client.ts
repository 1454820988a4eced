import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';
import { type ErrorCode, isErrorCode, RondoError } from '@rondo/core';

/** A coordinator's HTTP API, as commands use it. Every call throws what the server answers, or CONFIG_INVALID when nobody does. */
export class ApiClient {
  readonly url: string;
  readonly #key: string | undefined;

  /** @param url without a slash at its end */
  constructor(url: string, key: string | undefined) {
    this.url = url;
    this.#key = key;
  }

  async get<T>(path: string): Promise<T> {
    return this.#json(path);
  }

  async post<T>(path: string, body?: object): Promise<T> {
    const json = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return this.#json(path, { method: 'POST', ...json });
  }

  /** Uploads a file as it is read, for a batch to answer. */
  async upload(path: string): Promise<{ readonly id: string }> {
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', await openAsBlob(path), basename(path));
    return this.#json('/v1/files', { method: 'POST', body: form });
  }

  /** The bytes behind `path`, as they come. */
  async download(path: string): Promise<AsyncIterable<Uint8Array>> {
    return this.#pieces(await this.#send(path));
  }

  async #json<T>(path: string, request?: RequestInit): Promise<T> {
    return JSON.parse(await this.#text(await this.#send(path, request))) as T;
  }

  async *#pieces({ body }: Response): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* body ?? [];
    } catch (thrown) {
      throw this.#brokenOff(thrown);
    }
  }

  async #text(response: Response): Promise<string> {
    return response.text().catch((thrown: unknown) => {
      throw this.#brokenOff(thrown);
    });
  }

  #brokenOff(cause: unknown): RondoError {
    const message = `--url ${this.url} broke off in the middle of an answer: ${reason(cause)}`;
    return new RondoError('NO_WORKER', message, { cause });
  }

  async #send(path: string, request: RequestInit = {}): Promise<Response> {
    const headers = new Headers(request.headers);
    if (this.#key !== undefined) headers.set('authorization', `Bearer ${this.#key}`);
    const response = await fetch(`${this.url}${path}`, { ...request, headers }).catch((cause: unknown) => {
      const remedy = 'is a coordinator listening there?';
      const message = `--url ${this.url} cannot be reached: ${reason(cause)}; ${remedy}`;
      throw new RondoError('NO_WORKER', message, { cause });
    });
    if (response.ok) return response;
    throw refusal(this.url, response.status, await this.#text(response));
  }
}

/** What fetch itself says is no more than that it failed. */
function reason(thrown: unknown): string {
  const { message, cause } = thrown as Error;
  return cause instanceof Error ? cause.message : message;
}

interface Said {
  readonly message?: unknown;
  readonly code?: unknown;
}

/** What a server that says no says. */
function refusal(url: string, status: number, body: string): RondoError {
  let said: Said = {};
  try {
    said = (JSON.parse(body) as { error?: Said }).error ?? {};
  } catch {
    // Whatever stands between here and the coordinator speaks its own language.
  }
  const message = typeof said.message === 'string' ? said.message : body.slice(0, 200);
  const remedy = status === 401 ? '; give --key-file or RONDO_API_KEY' : '';
  return new RondoError(codeOf(status, said), `${url} answers ${status}: ${message}${remedy}`);
}

/** The code that a coordinator gives; of what others say, such as a proxy before it, whether another try can help. */
function codeOf(status: number, { code }: Said): ErrorCode {
  if (code === null) return 'INVALID_REQUEST';
  const known = String(code).toUpperCase();
  if (isErrorCode(known)) return known;
  if (status === 429) return 'OVERLOADED';
  return status >= 502 && status <= 504 ? 'NO_WORKER' : 'INTERNAL';
}
