import { totalmem } from 'node:os';

const MIB = 2 ** 20;
const MAX_MIB = 4096;

/**
 * Memory for K and V of one worker when nobody says how much, in MiB: an eighth of the machine's, at most 4 GiB. Pages
 * take real memory only once they are written.
 */
export const defaultKvMb = (): number => Math.min(MAX_MIB, Math.floor(totalmem() / 8 / MIB));

export const KV_HELP = "(default: an eighth of the machine's memory, at most 4096)";

export const PREFIX_CACHE_HELP =
  'compute every prompt anew (default: prompts share K and V of their common beginnings)';
