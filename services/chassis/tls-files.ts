import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { LIMITS, RondoError, type TlsIdentity, type TlsMaterial } from '@rondo/core';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { WatchedFiles } from './watched-files.ts';

export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
  /** With it the certificate is shown to peers and they show theirs, so it has to be good for both ends. */
  readonly ca?: string | undefined;
}

export interface TlsFileOptions {
  readonly paths: TlsPaths;
  /** What the certificate is for, in logs and metrics: `tls`, `https`. */
  readonly what: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly everyMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** A TLS identity in files, followed while they change. */
export interface TlsFiles extends TlsIdentity {
  /** Looks at the files now. Never rejects. */
  check(): Promise<void>;
  close(): void;
}

interface Compiled extends TlsMaterial {
  /** When the certificate ends, in milliseconds since 1970. */
  readonly endsMs: number;
}

/** @throws RondoError CONFIG_INVALID naming the file and what is wrong with it. */
export async function openTlsFiles(options: TlsFileOptions): Promise<TlsFiles> {
  const { paths, what, log, metrics, everyMs, now = Date.now } = options;
  const end = metrics.gauge('rondo_tls_not_after_seconds', 'When a certificate in use ends, Unix time', [
    'what',
  ]);
  let warnedOf: Compiled | undefined;
  return WatchedFiles.open<Compiled>({
    what,
    paths: [paths.cert, paths.key, ...(paths.ca === undefined ? [] : [paths.ca])],
    compile: ([cert = '', key = '', ca]) => compileTls(paths, { cert, key, ca }, now()),
    log,
    metrics,
    ...(everyMs !== undefined && { everyMs }),
    looked(material) {
      end.set({ what }, Math.floor(material.endsMs / 1000));
      if (warnedOf === material || material.endsMs - now() > LIMITS.certificateWarnMs) return;
      warnedOf = material;
      log.warn(
        { what, file: paths.cert, ends: isoTime(material.endsMs) },
        'a certificate ends soon; replace it',
      );
    },
  });
}

/** Checks what can be checked before a peer would: otherwise the only sign would be failing handshakes. */
function compileTls(paths: TlsPaths, { cert, key, ca }: TlsMaterial, nowMs: number): Compiled {
  const [own, ...others] = certificatesOf(paths.cert, cert);
  const secret = privateKeyOf(paths.key, key);
  if (own === undefined) throw fault(paths.cert, 'holds no certificate');
  if (!own.checkPrivateKey(secret))
    throw fault(paths.key, `does not belong to the certificate in ${paths.cert}`);
  for (const each of [own, ...others]) checkTime(paths.cert, each, nowMs);
  if (paths.ca !== undefined && ca !== undefined) {
    checkUsage(paths.cert, own);
    const authorities = certificatesOf(paths.ca, ca);
    // Around an exchange of the authority both are trusted, and the old one may be over.
    if (authorities.every(({ validToDate }) => validToDate.getTime() <= nowMs)) {
      throw fault(paths.ca, `expired ${authorities[0]?.validToDate.toISOString()}`);
    }
  }
  try {
    createSecureContext({ cert, key, ca });
  } catch (cause) {
    throw fault(paths.cert, `cannot be used: ${(cause as Error).message}`, cause);
  }
  return { cert, key, ca, endsMs: own.validToDate.getTime() };
}

const fault = (path: string, reason: string, cause?: unknown): RondoError =>
  new RondoError('CONFIG_INVALID', `${path}: ${reason}`, { cause });

const isoTime = (ms: number): string => new Date(ms).toISOString();

function certificatesOf(path: string, text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  if (blocks === null) throw fault(path, 'holds no PEM certificate (-----BEGIN CERTIFICATE-----)');
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw fault(path, `certificate ${index + 1} is damaged: ${(cause as Error).message}`, cause);
    }
  });
}

function privateKeyOf(path: string, text: string): KeyObject {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw fault(path, 'holds no PEM private key (-----BEGIN PRIVATE KEY-----)');
  }
  if (/ENCRYPTED/.test(text)) throw fault(path, 'is encrypted; give a key without a passphrase');
  try {
    return createPrivateKey(text);
  } catch {
    // OpenSSL's words say nothing more, and a cause could carry what it read.
    throw fault(path, 'its private key is damaged');
  }
}

function checkTime(
  path: string,
  { subject, validFromDate, validToDate }: X509Certificate,
  nowMs: number,
): void {
  const name = subject.replaceAll('\n', ', ');
  if (validToDate.getTime() <= nowMs) {
    throw fault(path, `the certificate of ${name} expired ${validToDate.toISOString()}`);
  }
  if (validFromDate.getTime() > nowMs) {
    throw fault(path, `the certificate of ${name} is valid only from ${validFromDate.toISOString()}`);
  }
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** A certificate that says what it may be used for must say both ends. */
function checkUsage(path: string, { keyUsage }: X509Certificate): void {
  if (keyUsage === undefined) return;
  if (keyUsage.includes(SERVER_AUTH) && keyUsage.includes(CLIENT_AUTH)) return;
  throw fault(path, 'its extended key usage must allow both serverAuth and clientAuth, or be absent');
}
