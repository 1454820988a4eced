import { readFileSync } from 'node:fs';
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import { RondoError } from '@rondo/core';

/**
 * Who we are to a NATS server. Files are read at every connect, so that they may be replaced; one that is being replaced just
 * then counts as it was.
 */
export type NatsCredentials =
  | { readonly kind: 'creds'; readonly file: string }
  | { readonly kind: 'nkey'; readonly seedFile: string }
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string };

/**
 * `unusable` is told when a file can no longer be used, once until it can again: what it said last goes on signing in.
 * @throws RondoError CONFIG_INVALID when a file named is not readable or says nothing that signs in; its result never throws.
 */
export function natsAuthenticator(
  credentials: NatsCredentials,
  unusable: (error: RondoError) => void = () => {},
): Authenticator {
  switch (credentials.kind) {
    case 'creds':
      return fileAuthenticator(credentials.file, credsAuthenticator, unusable);
    case 'nkey':
      return fileAuthenticator(
        credentials.seedFile,
        (text) => nkeyAuthenticator(Buffer.from(text.toString('utf8').trim())),
        unusable,
      );
    case 'user':
      return usernamePasswordAuthenticator(credentials.user, credentials.password);
    case 'token':
      return tokenAuthenticator(credentials.token);
  }
}

/** Signs in with what `file` says, or said last: the client ends a connection for good whose authenticator throws. */
function fileAuthenticator(
  file: string,
  signsWith: (text: Buffer) => Authenticator,
  unusable: (error: RondoError) => void,
): Authenticator {
  // Signs something made up: only then is the text parsed.
  const read = (nonce = 'unused'): { sign: Authenticator; signed: ReturnType<Authenticator> } => {
    try {
      const sign = signsWith(readFileSync(file));
      return { sign, signed: sign(nonce) };
    } catch (cause) {
      const { message } = cause as Error;
      throw new RondoError('CONFIG_INVALID', `NATS credentials file '${file}' cannot be used: ${message}`, {
        cause,
      });
    }
  };
  let { sign } = read();
  let told = false;
  return (nonce) => {
    try {
      const now = read(nonce);
      sign = now.sign;
      told = false;
      return now.signed;
    } catch (thrown) {
      if (!told) unusable(RondoError.from(thrown));
      told = true;
      return sign(nonce);
    }
  };
}
