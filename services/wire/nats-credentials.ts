import { readFileSync } from 'node:fs';
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import { RondoError } from '@rondo/core';

/** Who we are to a NATS server. Files are read at every connect, so that they may be replaced. */
export type NatsCredentials =
  | { readonly kind: 'creds'; readonly file: string }
  | { readonly kind: 'nkey'; readonly seedFile: string }
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string };

/** @throws RondoError CONFIG_INVALID when a file named is not readable. */
export function natsAuthenticator(credentials: NatsCredentials): Authenticator {
  switch (credentials.kind) {
    case 'creds':
      read(credentials.file);
      return credsAuthenticator(() => read(credentials.file));
    case 'nkey':
      read(credentials.seedFile);
      return nkeyAuthenticator(() => Buffer.from(read(credentials.seedFile).toString('utf8').trim()));
    case 'user':
      return usernamePasswordAuthenticator(credentials.user, credentials.password);
    case 'token':
      return tokenAuthenticator(credentials.token);
  }
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { message } = cause as Error;
    throw new RondoError('CONFIG_INVALID', `NATS credentials file '${file}' cannot be read: ${message}`, {
      cause,
    });
  }
}
