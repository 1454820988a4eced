import { type Address, address, RondoError } from '@rondo/core';
import { hostIn } from './channel.ts';

/** A message of ours and its bytes on the wire. `decode` throws PROTOCOL_MISMATCH on anything malformed. */
export interface Codec<T> {
  encode(value: T): Buffer;
  decode(bytes: Uint8Array): T;
}

/** A peer that sends such a message does not speak our protocol, whatever revision it claims. */
export const malformed = (message: string, what: string): RondoError =>
  new RondoError('PROTOCOL_MISMATCH', `malformed ${message}: ${what}`);

export function present<T>(value: T | null | undefined, message: string, field: string): T {
  if (value === null || value === undefined) throw malformed(message, `${field} is missing`);
  return value;
}

export function nonEmpty(text: string, message: string, field: string): string {
  if (text === '') throw malformed(message, `${field} is empty`);
  return text;
}

/** Where somebody is said to be reached: a client for anything but `host:port` could not even be made. */
export function addressField(text: string, message: string, field: string): Address {
  if (hostIn(nonEmpty(text, message, field)) === undefined)
    throw malformed(message, `${field} is '${text}', expected host:port, such as 10.0.0.1:7600`);
  return address(text);
}

/** protobufjs would wrap a number that does not fit: −1 would arrive as 4294967295. */
export function uint32(value: number, field: string): number {
  if (value >>> 0 !== value)
    throw new RondoError('INTERNAL', `${field} = ${value} is no unsigned 32-bit integer`);
  return value;
}

export interface EnumField<T extends string> {
  encode(value: T): number;
  /** Rejects UNSPECIFIED and numbers of a newer peer. */
  decode(value: number): T;
}

/** Pairs each word of ours with its number in the proto enum `name`. */
export function enumField<T extends string>(
  name: string,
  numbers: Readonly<Record<T, number>>,
): EnumField<T> {
  const words = new Map(Object.entries<number>(numbers).map(([word, number]) => [number, word as T]));
  return {
    encode: (value) => numbers[value],
    decode(value) {
      const word = words.get(value);
      if (word === undefined)
        throw malformed(name, value === 0 ? 'it is unspecified' : `unknown value ${value}`);
      return word;
    },
  };
}
