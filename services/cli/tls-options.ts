import { openTlsFiles, type TlsFiles } from '@rondo/chassis';
import { RondoError } from '@rondo/core';
import type { Command } from 'commander';
import type { Chassis } from './serve.ts';

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

export interface HttpsFlags {
  readonly httpsCert?: string;
  readonly httpsKey?: string;
}

export const TLS_HELP = `
With --tls-cert, --tls-key and --tls-ca everything between workers and coordinators is encrypted, and both ends show a
certificate of that authority; its names must include the host that others connect to, and its extended key usage, if
it has one, both serverAuth and clientAuth. The files are followed: exchange them and new connections use the new ones.`;

export const addTlsOptions = (command: Command): Command =>
  command
    .option('--tls-cert <file>', 'certificate of this process for its peers, PEM, intermediate ones after it')
    .option('--tls-key <file>', 'its private key, PEM, without a passphrase')
    .option('--tls-ca <file>', 'authorities that the certificates of peers are held to, PEM');

export const addHttpsOptions = (command: Command): Command =>
  command
    .option('--https-cert <file>', 'certificate for clients, PEM: serve HTTPS; followed while it changes')
    .option('--https-key <file>', 'its private key, PEM, without a passphrase');

/** Undefined when none of the options is given. @throws RondoError CONFIG_INVALID when some are missing, or of `openTlsFiles`. */
export function openTls(flags: TlsFlags, chassis: Chassis): Promise<TlsFiles | undefined> {
  const options = { '--tls-cert': flags.tlsCert, '--tls-key': flags.tlsKey, '--tls-ca': flags.tlsCa };
  return follow('tls', options, chassis);
}

/** As `openTls`, for the side of the HTTP clients. */
export function openHttps(flags: HttpsFlags, chassis: Chassis): Promise<TlsFiles | undefined> {
  return follow('https', { '--https-cert': flags.httpsCert, '--https-key': flags.httpsKey }, chassis);
}

async function follow(
  what: string,
  options: Readonly<Record<string, string | undefined>>,
  { log, metrics, lifecycle }: Chassis,
): Promise<TlsFiles | undefined> {
  const [cert, key, ca] = Object.values(options);
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  const missing = Object.keys(options).filter((name) => options[name] === undefined);
  if (cert === undefined || key === undefined || missing.length > 0) {
    throw new RondoError(
      'CONFIG_INVALID',
      `${missing.join(' and ')} missing: ${Object.keys(options).join(', ')} go together`,
    );
  }
  const files = await openTlsFiles({ paths: { cert, key, ca }, what, log, metrics });
  lifecycle.onStop(`${what} files`, () => files.close());
  return files;
}
