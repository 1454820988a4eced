import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { connect as connectPlain } from 'node:net';
import { after, before, describe, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createLog, Metrics, openTlsFiles, type TlsFiles } from '@rondo/chassis';
import { address, type TlsIdentity } from '@rondo/core';
import { connectWorker, PROTOCOL_REVISION, serveWorker, type WorkerHandlers } from '@rondo/wire';
import { Authority, type CertificateWishes, type Identity, IdentityFiles } from './certificates.ts';
import { Cluster } from './cluster.ts';
import { RondoProcess } from './rondo-process.ts';
import { TinyBundle } from './tiny-bundle.ts';

const ours = new Authority('our authority');
const theirs = new Authority('their authority');

const identityOf = ({ cert, key }: Identity, ca?: string): TlsIdentity => ({
  current: { cert, key, ca },
  onChange: () => () => {},
});

const log = createLog('test', { level: 'silent' });
const follow = (files: IdentityFiles, metrics = new Metrics()): Promise<TlsFiles> =>
  openTlsFiles({ paths: files.paths, what: 'tls', log, metrics, everyMs: 0 });

let asked = 0;
const handlers: WorkerHandlers = {
  describe() {
    asked++;
    return {
      workerId: 'worker-1' as never,
      protocolRevision: PROTOCOL_REVISION,
      bundleDigest: 'sha256:abc',
      bundleName: 'tiny',
      provider: 'cpu',
      advertisedAddress: undefined,
      load: { sequences: 0, sequencesMax: 1, freePositions: 1, totalPositions: 1, stepMs: 0, hopMs: 0 },
    } as ReturnType<WorkerHandlers['describe']>;
  },
  watch() {
    asked++;
    throw new Error('nobody watches here');
  },
  generate() {
    asked++;
    throw new Error('nobody generates here');
  },
  async passes() {
    asked++;
  },
};

async function serve(context: TestContext, identity: TlsIdentity) {
  asked = 0;
  const server = await serveWorker(address('127.0.0.1:0'), handlers, { tls: identity });
  context.after(() => server.close({ graceMs: 0 }));
  return server.address;
}

/** What a peer with this identity gets: the worker's name, or the reason why not. */
async function describeWith(target: string, identity: TlsIdentity | undefined): Promise<string> {
  const client = connectWorker(address(target), identity);
  try {
    return (await client.describe()).workerId;
  } catch (thrown) {
    return (thrown as Error).message;
  } finally {
    client.close();
  }
}

describe('a worker that has a certificate', () => {
  const worker = identityOf(ours.issue('worker'), ours.cert);
  const self: Identity = (() => {
    const lone = new Authority('nobody');
    return lone.issue('nobody');
  })();

  test('serves whoever shows one of the same authority', async (context) => {
    const target = await serve(context, worker);
    assert.equal(await describeWith(target, identityOf(ours.issue('coordinator'), ours.cert)), 'worker-1');
    assert.equal(asked, 1);
  });

  const strangers: readonly (readonly [who: string, identity: TlsIdentity | undefined])[] = [
    ['in plaintext', undefined],
    ['without a certificate', { current: { cert: '', key: '', ca: ours.cert }, onChange: () => () => {} }],
    ['with one that nobody vouches for', identityOf(self, ours.cert)],
    ['of another authority', identityOf(theirs.issue('coordinator'), ours.cert)],
    ['with one that is over', identityOf(ours.issue('old', { fromDays: -9, toDays: -1 }), ours.cert)],
    ['with one that is not yet valid', identityOf(ours.issue('new', { fromDays: 2, toDays: 9 }), ours.cert)],
    ['with one that is for servers only', identityOf(ours.issue('web', { usage: ['server'] }), ours.cert)],
  ];
  for (const [who, identity] of strangers) {
    test(`gives nothing to a peer ${who}`, async (context) => {
      const target = await serve(context, worker);
      assert.notEqual(await describeWith(target, identity), 'worker-1');
      assert.equal(asked, 0);
    });
  }

  const impostors: readonly (readonly [who: string, identity: TlsIdentity])[] = [
    ['of another authority', identityOf(theirs.issue('worker'), ours.cert)],
    ['for another host', identityOf(ours.issue('worker', { hosts: ['elsewhere', '127.0.0.2'] }), ours.cert)],
    ['that is over', identityOf(ours.issue('worker', { fromDays: -9, toDays: -1 }), ours.cert)],
  ];
  for (const [who, identity] of impostors) {
    test(`is not believed with one ${who}`, async (context) => {
      const target = await serve(context, identity);
      const found = await describeWith(target, identityOf(ours.issue('coordinator'), ours.cert));
      assert.match(found, /^worker 127\.0\.0\.1:\d+: /);
      assert.equal(asked, 0);
    });
  }

  test('is found by name as well as by number', async (context) => {
    const target = await serve(context, worker);
    const byName = target.replace('127.0.0.1', 'localhost');
    assert.equal(await describeWith(byName, identityOf(ours.issue('coordinator'), ours.cert)), 'worker-1');
  });
});

test('an exchanged certificate is shown to whoever connects afterwards, while open connections go on', async (context) => {
  await using files = await IdentityFiles.make(ours.issue('first'), ours.cert);
  const followed = await follow(files);
  context.after(() => followed.close());
  const target = await serve(context, followed);
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const [host, port] = target.split(':');
      const { cert, key, ca } = followed.current;
      const socket = connectTls({ host, port: Number(port), cert, key, ca, ALPNProtocols: ['h2'] }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const early = connectWorker(target, followed);
  context.after(() => early.close());
  await early.describe();
  assert.equal(await shown(), 'first');

  const both = ours.cert + theirs.cert;
  await files.replace({ ca: both });
  await followed.check();
  await files.replace(theirs.issue('second'));
  await followed.check();
  assert.equal(await shown(), 'second');
  assert.equal((await early.describe()).workerId, 'worker-1');
  // Peers on either side of the exchange are let in; once the old authority is gone, its certificates are worth nothing.
  const old = identityOf(ours.issue('coordinator'), both);
  assert.equal(await describeWith(target, old), 'worker-1');
  await files.replace({ ca: theirs.cert });
  await followed.check();
  assert.notEqual(await describeWith(target, old), 'worker-1');
  assert.equal(await describeWith(target, followed), 'worker-1');
});

describe('files that cannot be used', () => {
  let files: IdentityFiles;
  const good = ours.issue('worker');
  before(async () => {
    files = await IdentityFiles.make(good, ours.cert);
  });
  after(() => files[Symbol.asyncDispose]());

  const wrong = (wishes: CertificateWishes): Identity => ours.issue('worker', wishes);
  const faults: readonly (readonly [
    contents: Partial<Identity & { ca: string }>,
    path: string,
    reason: RegExp,
  ])[] = [
    [{ cert: 'hello' }, 'cert', /no PEM certificate/],
    [{ cert: good.cert.replace(/\n[^-]{64}\n/, '\n') }, 'cert', /certificate 1 is damaged/],
    [{ key: 'hello' }, 'key', /no PEM private key/],
    [{ key: good.key.replace(/\n[^-]{64}\n/, '\n') }, 'key', /private key is damaged/],
    [{ key: ours.issue('other').key }, 'key', /does not belong to the certificate in .*cert\.pem/],
    [{ ca: 'hello' }, 'ca', /no PEM certificate/],
    [wrong({ fromDays: -9, toDays: -1 }), 'cert', /CN=worker expired \d{4}-/],
    [wrong({ fromDays: 1 }), 'cert', /valid only from/],
    [wrong({ usage: ['client'] }), 'cert', /serverAuth and clientAuth/],
  ];
  for (const [contents, path, reason] of faults) {
    test(`are fatal at start and refused later: ${path}, ${reason.source}`, async (context) => {
      await files.replace({ ...good, ca: ours.cert });
      const metrics = new Metrics();
      const followed = await follow(files, metrics);
      context.after(() => followed.close());
      await files.replace(contents);
      const isRefusal = ({ code, message }: Error & { code: string }) => {
        assert.equal(code, 'CONFIG_INVALID');
        assert.ok(message.startsWith(`${files.path(path as 'cert')}: `), message);
        assert.match(message, reason);
        return true;
      };
      await assert.rejects(follow(files), isRefusal);
      await followed.check();
      assert.equal(followed.current.cert, good.cert);
      assert.match(await metrics.render(), /rondo_watched_file_fault\{what="tls"\} 1/);
      await files.replace({ ...good, ca: ours.cert });
      await followed.check();
      assert.match(await metrics.render(), /rondo_watched_file_fault\{what="tls"\} 0/);
    });
  }

  test('a file that is not there is named', async () => {
    await files.replace({ ...good, ca: ours.cert });
    await rm(files.path('ca'));
    await assert.rejects(follow(files), new RegExp(`${files.path('ca')}: no such file`));
  });

  test('a certificate that ends within seven days is warned about once', async (context) => {
    await files.replace({ ...wrong({ toDays: 6 }), ca: ours.cert });
    const lines: string[] = [];
    const loud = createLog('test', { level: 'warn', to: { write: (line: string) => lines.push(line) } });
    const options = { paths: files.paths, what: 'tls', metrics: new Metrics(), everyMs: 0 };
    const followed = await openTlsFiles({ ...options, log: loud });
    context.after(() => followed.close());
    await followed.check();
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /ends soon/);
  });
});

describe('a cluster of processes with certificates', () => {
  let bundle: TinyBundle;
  let files: IdentityFiles;
  before(async () => {
    bundle = await TinyBundle.make(4);
    files = await IdentityFiles.make(ours.issue('process', { usage: ['server', 'client'] }), ours.cert);
  });
  after(async () => {
    await bundle[Symbol.asyncDispose]();
    await files[Symbol.asyncDispose]();
  });

  test('answers over staged routes, and takes in nobody without one', async () => {
    await using cluster = await Cluster.start({
      bundle: bundle.directory,
      workers: 2,
      placement: 'staged',
      workerOptions: files.options,
      coordinatorOptions: files.options,
    });
    const body = { model: 'tiny', prompt: [5, 6, 7], max_tokens: 8, ignore_eos: true };
    const response = await cluster.post('/v1/completions', body);
    assert.equal(response.status, 200, await response.clone().text());
    assert.equal(
      ((await response.json()) as { usage: { completion_tokens: number } }).usage.completion_tokens,
      8,
    );

    const target = cluster.workers[0]!.ready;
    assert.match(await describeWith(target, undefined), /^worker 127\.0\.0\.1:\d+: /);
    const stranger = await describeWith(target, identityOf(theirs.issue('worker'), ours.cert));
    assert.match(stranger, /^worker 127\.0\.0\.1:\d+: /);
    const [host, port] = target.split(':');
    const bytes = await new Promise<number>((resolve, reject) => {
      let received = 0;
      const socket = connectPlain(Number(port), host, () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
      socket.on('data', (data) => (received += data.length)).on('close', () => resolve(received));
      socket.on('error', reject);
    });
    assert.ok(bytes <= 7, `at most a TLS alert, but ${bytes} bytes`);
  });

  test('options that go together are asked for together', async () => {
    const [certOption, cert] = files.options;
    const { code, stderr } = await RondoProcess.run(
      ...['worker', '--model', bundle.directory, '--listen', '127.0.0.1:0', certOption!, cert!],
    );
    assert.equal(code, 1);
    assert.match(stderr, /--tls-key and --tls-ca missing/);
  });
});
