import { settings, text } from '@rondo/chassis';
import { RondoError } from '@rondo/core';
import {
  DEFAULT_NATS_PREFIX,
  type NatsCredentials,
  type NatsLink,
  type NatsTls,
  openNats,
} from '@rondo/wire';
import type { Command } from 'commander';
import type { Chassis } from './serve.ts';

export interface NatsFlags {
  readonly nats?: readonly string[];
  readonly natsPrefix?: string;
  readonly natsReplicas?: number;
  readonly natsCreds?: string;
  readonly natsNkey?: string;
  readonly natsUser?: string;
  readonly natsCa?: string;
  readonly natsCert?: string;
  readonly natsKey?: string;
}

export const NATS_HELP = `
With --nats workers announce themselves and coordinators find them, through a NATS server from 2.11 on with JetStream
(nats-server -js). While NATS is away everything goes on with whom it knows. --nats-user takes its password from
RONDO_NATS_PASSWORD; RONDO_NATS_TOKEN holds a token. tls://host:port asks for TLS.`;

/** Adds what a process needs to know of NATS. */
export const addNatsOptions = (command: Command): Command =>
  command
    .option('--nats <urls>', 'NATS servers of one cluster, nats://host:port,…', serversOption)
    .option(
      '--nats-prefix <word>',
      `what the names of this cluster begin with in NATS (default: ${DEFAULT_NATS_PREFIX})`,
    )
    .option(
      '--nats-replicas <n>',
      'NATS servers that keep a copy: 1, 3 or 5 (default: as they are, 1 of what is made anew)',
      replicasOption,
    )
    .option('--nats-creds <file>', 'credentials file of a NATS user')
    .option('--nats-nkey <file>', "file with the seed of a NATS user's key")
    .option('--nats-user <name>', 'NATS user; the password comes from RONDO_NATS_PASSWORD')
    .option('--nats-ca <file>', "authorities that NATS' certificate is held to, PEM")
    .option('--nats-cert <file>', 'certificate of this process for NATS, PEM')
    .option('--nats-key <file>', 'its private key, PEM');

/**
 * The link that the flags ask for, closed with the process; undefined without --nats.
 * @throws RondoError CONFIG_INVALID for flags that do not go together, or of `openNats`.
 */
export async function openNatsLink(
  flags: NatsFlags,
  name: string,
  { log, lifecycle }: Chassis,
): Promise<NatsLink | undefined> {
  const { nats: servers, natsPrefix: prefix, natsReplicas: replicas } = flags;
  if (servers === undefined) {
    const [stray] = Object.keys(flags).filter((flag) => flag.startsWith('nats'));
    if (stray === undefined) return undefined;
    const option = stray.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new RondoError('CONFIG_INVALID', `--${option} says how to use NATS, but there is no --nats`);
  }
  const link = await openNats({
    servers,
    name: `rondo ${name}`,
    credentials: credentialsOf(flags),
    tls: tlsOf(flags),
    prefix,
    replicas,
    changed(state) {
      if (state.connected) log.info({ server: state.server }, 'NATS is there');
      else log.warn(`NATS is away, this ${name} goes on without: ${state.reason}`);
    },
    credentialsUnusable: ({ message }) =>
      log.warn(`signing in to NATS with what the file said last: ${message}`),
  });
  lifecycle.onStop('nats', () => link.close());
  return link;
}

function credentialsOf({ natsCreds, natsNkey, natsUser }: NatsFlags): NatsCredentials | undefined {
  const { password, token } = settings({
    password: text('RONDO_NATS_PASSWORD', ''),
    token: text('RONDO_NATS_TOKEN', ''),
  });
  const given: Readonly<Record<string, NatsCredentials | false | undefined>> = {
    '--nats-creds': natsCreds !== undefined && { kind: 'creds', file: natsCreds },
    '--nats-nkey': natsNkey !== undefined && { kind: 'nkey', seedFile: natsNkey },
    '--nats-user': natsUser !== undefined && { kind: 'user', user: natsUser, password },
    RONDO_NATS_TOKEN: token !== '' && { kind: 'token', token },
  };
  const names = Object.keys(given).filter((name) => given[name]);
  if (names.length > 1) {
    throw new RondoError('CONFIG_INVALID', `${names.join(' and ')}: one way to sign in to NATS is enough`);
  }
  if (natsUser !== undefined && password === '') {
    throw new RondoError('CONFIG_INVALID', `--nats-user ${natsUser}: RONDO_NATS_PASSWORD is not set`);
  }
  return Object.values(given).find((credentials) => credentials) || undefined;
}

function tlsOf({ natsCa, natsCert, natsKey }: NatsFlags): NatsTls | undefined {
  if ((natsCert === undefined) !== (natsKey === undefined)) {
    throw new RondoError('CONFIG_INVALID', '--nats-cert and --nats-key go together');
  }
  if (natsCa === undefined && natsCert === undefined) return undefined;
  return { caFile: natsCa, certFile: natsCert, keyFile: natsKey };
}

/** @throws RondoError CONFIG_INVALID for anything but URLs without secrets in them: arguments are seen by everybody. */
export function serversOption(value: string): string[] {
  return value.split(',').map((part) => {
    const url = URL.parse(part.trim());
    if (url?.username || url?.password) {
      throw new RondoError(
        'CONFIG_INVALID',
        '--nats: name no user in the URL; use --nats-user and RONDO_NATS_PASSWORD, or --nats-creds',
      );
    }
    if (!url || !/^(nats|tls):$/.test(url.protocol) || !url.hostname || !/^\/?$/.test(url.pathname)) {
      const expected = 'nats://host:port or tls://host:port, several separated by commas';
      throw new RondoError('CONFIG_INVALID', `--nats ${part || "''"}: expected ${expected}`);
    }
    return `${url.protocol}//${url.hostname}:${url.port || 4222}`;
  });
}

function replicasOption(value: string): number {
  if (!['1', '3', '5'].includes(value)) {
    throw new RondoError('CONFIG_INVALID', `--nats-replicas ${value || "''"}: expected 1, 3 or 5`);
  }
  return Number(value);
}
