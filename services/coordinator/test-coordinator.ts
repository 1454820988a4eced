import type { TestContext } from 'node:test';
import type { Bundle } from '@rondo/bundle';
import { createLog, type Logger, Metrics } from '@rondo/chassis';
import { address } from '@rondo/core';
import { type CoordinatorOptions, startCoordinator } from './coordinator.ts';
import type { Placement } from './placement.ts';
import { tinyBundle } from './test-bundle.ts';
import { connectTo, ScriptedWorker } from './test-worker.ts';

export interface TestOptions {
  readonly bundle?: Bundle;
  readonly workers?: Readonly<Record<string, ScriptedWorker>>;
  readonly placement?: Placement;
  readonly requestsInFlight?: number;
  readonly apiKeys?: CoordinatorOptions['apiKeys'];
  readonly origins?: readonly string[];
  readonly log?: Logger;
  /** 0 unless told otherwise: most tests wait for no answer at their end. */
  readonly drainMs?: number;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the tests say what they expect in it
  readonly body: any;
}

/** A coordinator on a real socket in front of scripted workers; stopped when the test ends. */
export async function testCoordinator(context: TestContext, options: TestOptions = {}) {
  const {
    bundle = await tinyBundle(),
    workers = { 'a:1': new ScriptedWorker() },
    placement = 'homed',
  } = options;
  const running = await startCoordinator({
    models: [{ name: 'tiny', bundle }],
    workers: Object.keys(workers).map(address),
    listen: address('127.0.0.1:0'),
    placement,
    requestsInFlight: options.requestsInFlight,
    apiKeys: options.apiKeys,
    origins: options.origins,
    drainMs: options.drainMs ?? 0,
    log: options.log ?? createLog('test', { level: 'silent' }),
    metrics: new Metrics(),
    connect: connectTo(workers),
  });
  context.after(() => running.stop());
  const { url } = running;

  const send = async (path: string, init: RequestInit): Promise<TestAnswer> => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  const headers = { 'content-type': 'application/json' };
  const postBytes = (
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    extra: Record<string, string> = {},
  ) => send(path, { method: 'POST', headers: { ...headers, ...extra }, body });
  const post = (path: string, body: object, extra: Record<string, string> = {}) =>
    postBytes(path, JSON.stringify(body), extra);
  const get = (path: string, extra: Record<string, string> = {}) => send(path, { headers: extra });
  /** The `data:` payloads of a stream, parsed but for `[DONE]`; `broken` when the transfer was cut. */
  const stream = async (path: string, body: object) => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...body, stream: true }),
    });
    const decoder = new TextDecoder();
    let text = '';
    let broken = false;
    try {
      for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true });
    } catch {
      broken = true;
    }
    const data = text.split('\n\n').filter((line) => line.startsWith('data: '));
    const events = data.map((line) => (line === 'data: [DONE]' ? '[DONE]' : JSON.parse(line.slice(6))));
    return { status: response.status, headers: response.headers, events, broken };
  };
  return { running, url, post, postBytes, get, stream };
}
