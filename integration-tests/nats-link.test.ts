import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type NatsLink, type NatsOptions, type NatsState, openNats } from '@rondo/wire';
import { NATS_MISSING, NatsServer } from './nats-server.ts';

const USERS = 'authorization { users: [{ user: "rondo", password: "a secret" }] }';

/** A user of these tests alone, as `nk -gen user` makes them. */
const NKEY = {
  seed: 'SUAMKKYPOQDHQPLK6WFUAXNCTQ6GKHDRBFVW2YBGPW2UP2TDZ27OPEAHGY',
  public: 'UDSUOU5QPDYSZ6GC4JBE6GD6SLQD7JXWP2EY4B766BWWSICJE3BP7Y6Y',
};

/** A link that is closed at the end of its scope, and its changes of state as they come. */
async function open(servers: string[], options: Partial<NatsOptions> = {}) {
  const states: NatsState[] = [];
  let heard = () => {};
  const changed = (state: NatsState) => {
    states.push(state);
    heard();
  };
  const link: NatsLink = await openNats({ servers, name: 'test', changed, ...options });
  return {
    link,
    states,
    async until(condition: (state: NatsState) => boolean): Promise<void> {
      while (!condition(link.state)) {
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
    },
    [Symbol.asyncDispose]: () => link.close(),
  };
}

describe('a link to a real NATS server', { skip: NATS_MISSING }, () => {
  test('keeps values, and is found again after the server was killed', async () => {
    await using server = await NatsServer.start();
    await using opened = await open([server.url]);
    const { link } = opened;
    let connects = 0;
    link.onConnected(() => connects++);
    const bucket = await link.stores.buckets.create('b', { storage: 'memory' });
    await bucket.put('k', 'v');
    assert.equal((await bucket.get('k'))?.string(), 'v');
    await server.kill();
    await opened.until(({ connected }) => !connected);
    assert.throws(() => link.stores, { code: 'NATS_UNAVAILABLE', message: /127\.0\.0\.1/ });
    await server.start();
    await opened.until(({ connected }) => connected);
    assert.equal(connects, 2);
    assert.equal((await link.stores.jetstream.jetstreamManager()).getOptions().apiPrefix, '$JS.API');
  });

  test('opened without a server, it goes on by itself when there is one', async () => {
    await using server = await NatsServer.start();
    await server.kill();
    await using opened = await open([server.url]);
    assert.equal(opened.link.state.connected, false);
    const connected = new Promise((resolve) => opened.link.onConnected(resolve));
    await server.start();
    await connected;
    assert.deepEqual(
      opened.states.map((state) => state.connected),
      [false, true],
    );
  });

  test('credentials that are wrong or missing end the start; the error says what to check', async () => {
    await using server = await NatsServer.start({ config: USERS });
    const refused = { code: 'CONFIG_INVALID', message: /refuses the credentials.*--nats-creds/ };
    await assert.rejects(openNats({ servers: [server.url], name: 'test' }), refused);
    const wrong = { kind: 'user', user: 'rondo', password: 'a guess' } as const;
    await assert.rejects(
      openNats({ servers: [server.url], name: 'test', credentials: wrong }),
      (error: Error) => {
        assert.doesNotMatch(error.message, /guess/);
        assert.match(error.message, refused.message);
        return true;
      },
    );
    await using opened = await open([server.url], { credentials: { ...wrong, password: 'a secret' } });
    assert.equal(opened.link.state.connected, true);
  });

  test('a token or the seed of a key signs in, another token does not', async () => {
    await using tokens = await NatsServer.start({ config: 'authorization { token: "right" }' });
    await using opened = await open([tokens.url], { credentials: { kind: 'token', token: 'right' } });
    assert.equal(opened.link.state.connected, true);
    const wrong = { kind: 'token', token: 'a guess' } as const;
    await assert.rejects(openNats({ servers: [tokens.url], name: 'test', credentials: wrong }), {
      code: 'CONFIG_INVALID',
    });
    const directory = await mkdtemp(join(tmpdir(), 'rondo-nkey-'));
    try {
      const seedFile = join(directory, 'seed');
      await writeFile(seedFile, `${NKEY.seed}\n`);
      await using keys = await NatsServer.start({
        config: `authorization { users: [{ nkey: "${NKEY.public}" }] }`,
      });
      await using keyed = await open([keys.url], { credentials: { kind: 'nkey', seedFile } });
      assert.equal(keyed.link.state.connected, true);
      await assert.rejects(openNats({ servers: [keys.url], name: 'test' }), { code: 'CONFIG_INVALID' });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('a seed file that is gone or torn at a reconnect signs in as it last did, and a new one takes its place', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rondo-nkey-'));
    const seedFile = join(directory, 'seed');
    try {
      await writeFile(seedFile, NKEY.seed);
      await using server = await NatsServer.start({
        config: `authorization { users: [{ nkey: "${NKEY.public}" }] }`,
      });
      const unusable: string[] = [];
      await using opened = await open([server.url], {
        credentials: { kind: 'nkey', seedFile },
        credentialsUnusable: ({ message }) => unusable.push(message),
      });
      const again = async () => {
        await server.kill();
        await opened.until(({ connected }) => !connected);
        await server.start();
        await opened.until(({ connected }) => connected);
      };
      await rm(seedFile);
      await again();
      await writeFile(seedFile, NKEY.seed.slice(0, 20));
      await again();
      assert.equal(unusable.length, 1, 'it is said once');
      assert.match(unusable[0]!, /seed' cannot be used: ENOENT/);
      await writeFile(seedFile, `${NKEY.seed}\n`);
      await again();
      await writeFile(seedFile, '');
      await again();
      assert.equal(unusable.length, 2);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('a server without JetStream ends the start', async () => {
    await using server = await NatsServer.start({ jetStream: false });
    await assert.rejects(openNats({ servers: [server.url], name: 'test' }), {
      code: 'CONFIG_INVALID',
      message: /JetStream.*-js/,
    });
  });

  test('a credentials file that is not there ends the start', async () => {
    const credentials = { kind: 'creds', file: '/nonexistent/rondo.creds' } as const;
    await assert.rejects(openNats({ servers: ['nats://127.0.0.1:1'], name: 'test', credentials }), {
      code: 'CONFIG_INVALID',
      message: /\/nonexistent\/rondo\.creds/,
    });
  });

  test('a credentials file that says nothing ends the start, whether or not a server is there', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rondo-creds-'));
    const file = join(directory, 'rondo.creds');
    try {
      await writeFile(file, 'no credentials');
      const options = { servers: ['nats://127.0.0.1:1'], name: 'test' };
      const refused = { code: 'CONFIG_INVALID', message: /rondo\.creds' cannot be used/ };
      await assert.rejects(openNats({ ...options, credentials: { kind: 'creds', file } }), refused);
      await assert.rejects(openNats({ ...options, credentials: { kind: 'nkey', seedFile: file } }), refused);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
