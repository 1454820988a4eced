import { type Code, get, type Local, load } from './code.ts';

/** Where each field is in a description of what a function works on: words from its address on. */
type Fields = Readonly<Record<string, number>>;

/** A description's field, in a function that has its address. */
export const fieldOf =
  (address: Local) =>
  (index: number): Code =>
    load(get(address), index * 4);

/** Writes a description at a byte address of the memory. */
export function describe<Described extends Fields>(
  words: Int32Array,
  address: number,
  fields: Described,
  values: Readonly<Record<keyof Described, number>>,
): void {
  for (const name of Object.keys(fields)) words[address / 4 + fields[name]!] = values[name]!;
}
