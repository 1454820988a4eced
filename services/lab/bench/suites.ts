import { depth } from './depth.ts';
import { overload } from './overload.ts';
import { scale } from './scale.ts';
import type { Suite } from './suite.ts';

/** Every suite of `rondo bench`, in the order in which `make bench` runs them. */
export const SUITES: readonly Suite[] = [depth, scale, overload];
