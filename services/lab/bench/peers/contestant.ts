import type { SuiteContext } from '../suite.ts';

/** One way to run one engine. */
export interface Contestant {
  readonly engine: string;
  /** How the weights are stored, and what else may be chosen: `q8_0, flash`. */
  readonly variant: string;
  /** Starts the process that loads the model; contestants with the same command share it. */
  readonly command: readonly string[];
  /** Goes with each request. */
  readonly options?: Readonly<Record<string, string | number | boolean>>;
  /** What its process may hold at most, when that is a goal. */
  readonly residentBytesMax?: number;
}

/** What contestants are made from. */
export interface PeerSetting {
  readonly context: SuiteContext;
  /** Path of the checkpoint that all share. */
  readonly checkpoint: string;
  /** Most positions that all sequences of a cell hold together. */
  readonly positionsMax: number;
}

/** An engine to be measured. */
export interface Peer {
  readonly engine: string;
  /**
   * Installs and converts what is not there yet.
   * @throws RondoError with the reason when that is impossible; the engine is then reported as missing.
   */
  prepare(setting: PeerSetting): Promise<readonly Contestant[]>;
}
