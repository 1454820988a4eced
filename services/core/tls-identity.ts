/** One process's proof of who it is, and whom it believes; all of it PEM. */
export interface TlsMaterial {
  /** The certificate, with the intermediate ones after it. */
  readonly cert: string;
  readonly key: string;
  /** The authorities that peers' certificates are held to. Absent: nobody is asked for a certificate. */
  readonly ca?: string | undefined;
}

/** TLS material that may be exchanged while it is in use: what connects afterwards uses the new. */
export interface TlsIdentity {
  readonly current: TlsMaterial;
  /** Calls `listener` after each exchange, until the returned function is called. */
  onChange(listener: (material: TlsMaterial) => void): () => void;
}
