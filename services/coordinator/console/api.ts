/** The coordinator's HTTP API as the page uses it. The key stays in this tab and goes to its own server only. */

const KEY = 'rondo-key';

/** `key` is one without a `keyFault`: no request can be made with another. */
export const useKey = (key: string): void => sessionStorage.setItem(KEY, key);

export class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** @throws Refused what the server says when it says no; TypeError when nobody answers */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = sessionStorage.getItem(KEY);
  if (key) headers.set('authorization', `Bearer ${key}`);
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  throw new Refused(response.status, body.error?.message ?? `the server answers ${response.status}`);
}

export const get = async <T>(path: string, signal: AbortSignal): Promise<T> =>
  (await (await send(path, { signal })).json()) as T;

/** The `data:` payloads of a stream of events. */
export async function* events<T>(response: Response): AsyncGenerator<T, void, undefined> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (text + value).split('\n\n');
      text = parts.pop()!;
      for (const part of parts) if (part !== 'data: [DONE]') yield JSON.parse(part.slice(6)) as T;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export const post = (path: string, body: object, signal: AbortSignal): Promise<Response> =>
  send(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
