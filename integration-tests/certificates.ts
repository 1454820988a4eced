import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificates made here and now, as X.509 wants them (RFC 5280), of P-256 keys. */

const DAY_MS = 86_400_000;

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), body]);
};
const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const octets = (body: Uint8Array) => der(0x04, body);
const bits = (body: Uint8Array) => der(0x03, Buffer.from([0]), body);
const yes = der(0x01, Buffer.from([0xff]));

/** First two numbers in one byte, the others in base 128. */
function oid(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  const bytes = others.flatMap((number) => {
    const digits = [number & 0x7f];
    for (let rest = number >> 7; rest > 0; rest >>= 7) digits.unshift(0x80 | (rest & 0x7f));
    return digits;
  });
  return der(0x06, Buffer.from([first * 40 + second, ...bytes]));
}

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const nameOf = (text: string) => sequence(der(0x31, sequence(oid('2.5.4.3'), der(0x0c, Buffer.from(text)))));
const timeOf = (ms: number) => der(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')));
const extension = (id: string, value: Uint8Array, critical = false) =>
  sequence(oid(id), ...(critical ? [yes] : []), octets(value));
const hostName = (host: string) =>
  isIPv4(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host));

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateWishes {
  readonly hosts?: readonly string[];
  /** Start and end, in days from now. */
  readonly fromDays?: number;
  readonly toDays?: number;
  /** Extended key usage; none by default, which allows all. */
  readonly usage?: readonly ('server' | 'client')[];
}

const USAGE = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };

/** An authority that lives as long as the test. */
export class Authority {
  readonly #name: string;
  readonly #key: KeyObject;
  readonly cert: string;

  constructor(name: string) {
    this.#name = name;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    const basic = extension('2.5.29.19', sequence(yes), true);
    this.cert = this.#certify(name, publicKey, -1, 30, [basic]);
  }

  /** A certificate and its key. */
  issue(name: string, wishes: CertificateWishes = {}): Identity {
    const { hosts = ['127.0.0.1', 'localhost'], fromDays = -1, toDays = 30, usage } = wishes;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const extensions = [
      extension('2.5.29.17', sequence(...hosts.map(hostName))),
      ...(usage ? [extension('2.5.29.37', sequence(...usage.map((each) => oid(USAGE[each]))))] : []),
    ];
    return {
      cert: this.#certify(name, publicKey, fromDays, toDays, extensions),
      key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    };
  }

  #certify(name: string, key: KeyObject, from: number, to: number, extensions: readonly Buffer[]): string {
    const now = Date.now();
    const content = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      // The first byte is neither 0 nor above 127: the number is positive and as short as it can be.
      der(0x02, Buffer.from([1]), randomBytes(8)),
      ECDSA_SHA256,
      nameOf(this.#name),
      sequence(timeOf(now + from * DAY_MS), timeOf(now + to * DAY_MS)),
      nameOf(name),
      createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    );
    const whole = sequence(content, ECDSA_SHA256, bits(sign('sha256', content, this.#key)));
    const lines = whole.toString('base64').match(/.{1,64}/g)!;
    return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  }
}

/** Certificate, key and authority as files; gone at the end of the scope. */
export class IdentityFiles implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(identity: Identity, ca: string): Promise<IdentityFiles> {
    const files = new IdentityFiles(await mkdtemp(join(tmpdir(), 'rondo-tls-')));
    await files.replace({ ...identity, ca });
    return files;
  }

  path(name: 'cert' | 'key' | 'ca'): string {
    return join(this.directory, `${name}.pem`);
  }

  get paths(): { cert: string; key: string; ca: string } {
    return { cert: this.path('cert'), key: this.path('key'), ca: this.path('ca') };
  }

  /** The options of a worker or coordinator. */
  get options(): string[] {
    return ['--tls-cert', this.path('cert'), '--tls-key', this.path('key'), '--tls-ca', this.path('ca')];
  }

  /** Puts other contents in the files' places, each by a rename. */
  async replace(contents: Partial<Identity & { readonly ca: string }>): Promise<void> {
    for (const [name, text] of Object.entries(contents)) {
      const path = this.path(name as 'cert' | 'key' | 'ca');
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}
