import { adapters } from './adapters.ts';
import { peers } from './peers/peers.ts';
import type { Suite } from './suite.ts';

/** Every suite of `rondo bench`, in the order in which `make bench` runs them. */
export const SUITES: readonly Suite[] = [
  // One line each: merges stay simple.
  peers,
  adapters,
];
