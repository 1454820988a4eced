import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const RONDO = new URL('../rondo', import.meta.url).pathname;

describe('rondo run', () => {
  let bundle: TinyBundle;
  before(async () => {
    bundle = await TinyBundle.make(2);
  });
  after(() => bundle[Symbol.asyncDispose]());

  test('serves what it suggests to try, and ends with 0 at SIGTERM', async () => {
    const child = spawn(RONDO, [
      'run',
      '--model',
      bundle.directory,
      '--listen',
      '127.0.0.1:0',
      '--kv-mb',
      '16',
    ]);
    try {
      const lines: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        lines.push(line);
        if (line === 'Ctrl-C stops it.') break;
      }
      const url = /^ready (http:\S+)$/.exec(lines[0]!)?.[1];
      assert.ok(url, lines[0]);
      const suggested = [...lines.join('\n').matchAll(/curl \S+ (\S+) .*\n.* -d '(.*)'/g)];
      assert.equal(suggested.length, 2);
      for (const [, target, body] of suggested) {
        assert.ok(target!.startsWith(url));
        const headers = { 'content-type': 'application/json' };
        const answer = await fetch(target!, { method: 'POST', headers, body: body! });
        assert.equal(answer.status, 200, await answer.text());
      }
    } finally {
      child.kill('SIGTERM');
    }
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  test('a malformed option names option, value and what was expected', async () => {
    for (const [option, value] of [
      ['--threads', '2x'],
      ['--kv-mb', '0'],
      ['--workers', '-1'],
      ['--listen', '8080'],
      ['--placement', 'spread'],
    ] as const) {
      const { code, stdout, stderr } = await RondoProcess.run(
        'run',
        '--model',
        bundle.directory,
        option,
        value,
      );
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, new RegExp(`^rondo: .*${option}.*${value}.*\n$`));
    }
  });
});
