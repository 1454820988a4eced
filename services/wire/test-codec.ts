import assert from 'node:assert/strict';
import type { Codec } from './fields.ts';

export const roundTrip = <T>(codec: Codec<T>, value: T): void =>
  assert.deepEqual(codec.decode(codec.encode(value)), value);

/** What refuses a message that this process cannot read. */
export const mismatch = (message: RegExp) => ({ code: 'PROTOCOL_MISMATCH', message });
