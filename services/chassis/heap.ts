import { setFlagsFromString } from 'node:v8';

/**
 * Lets V8 free typed arrays that die young together with other young objects. Without, it counts only their bytes, and collects the
 * whole heap each time these have grown by 64 MiB: a worker whose rows come and go does that many times a second. Process-wide,
 * threads too, from now on.
 */
export function collectBuffersYoung(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
