import { closeSync, openSync, readSync } from 'node:fs';
import { type Bundle, bundlePath } from '@rondo/bundle';
import { RondoError } from '@rondo/core';

/** Gives bytes of a bundle's file. */
export type ReadWeights = (offset: number, bytes: number) => ArrayBuffer;

/** Opens `file` of the bundle while `work` reads. @throws RondoError BUNDLE_INVALID for a file that ends before what is read. */
export function readingWeights(bundle: Bundle, file: string, work: (read: ReadWeights) => void): void {
  const path = bundlePath(bundle, file);
  const handle = openSync(path, 'r');
  try {
    work((offset, bytes) => {
      const buffer = new ArrayBuffer(bytes);
      if (readSync(handle, new Uint8Array(buffer), 0, bytes, offset) === bytes) return buffer;
      throw new RondoError('BUNDLE_INVALID', `${path}: ends before byte ${offset + bytes}, part of a matrix`);
    });
  } finally {
    closeSync(handle);
  }
}

/** Reads nothing twice, and holds all that was read: for few bytes that are asked for again and again. */
export function remembering(read: ReadWeights): ReadWeights {
  const known = new Map<string, ArrayBuffer>();
  return (offset, bytes) => {
    const place = `${offset} ${bytes}`;
    const found = known.get(place) ?? read(offset, bytes);
    known.set(place, found);
    return found;
  };
}

/** Gives the memory of what `work` reads back when it ends: the collector, who sees small objects only, would let it lie. */
export function releasing(read: ReadWeights, work: (read: ReadWeights) => void): void {
  const held: ArrayBuffer[] = [];
  work((offset, bytes) => {
    const buffer = read(offset, bytes);
    held.push(buffer);
    return buffer;
  });
  for (const buffer of held) buffer.transfer(0);
}
