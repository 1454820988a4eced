import { adapters } from './adapters.ts';
import { batch } from './batch.ts';
import { chaos } from './chaos/chaos.ts';
import { conversion } from './conversion.ts';
import { depth } from './depth.ts';
import { engine } from './engine.ts';
import { exits } from './exits.ts';
import { overload } from './overload.ts';
import { peers, peersLong } from './peers/peers.ts';
import { scale } from './scale.ts';
import { staged } from './staged.ts';
import type { Suite } from './suite.ts';
import { tracing } from './tracing.ts';

/** Every suite of `rondo bench`, in the order in which `make bench` runs them. */
export const SUITES: readonly Suite[] = [
  engine,
  peers,
  peersLong,
  depth,
  adapters,
  scale,
  staged,
  overload,
  tracing,
  batch,
  chaos,
  conversion,
  exits,
];
