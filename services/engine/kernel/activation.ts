import { type Code, get, integers, type Local, set, vector } from './code.ts';
import { Exponential } from './exponential.ts';
import type { WasmFunction } from './module.ts';

/** silu(gate) · up, with exp of −|gate| only, which cannot overflow. (Shazeer 2020, GLU variants) */
export class Activation {
  readonly constants: Code;
  readonly #exponential: Exponential;
  readonly #gates: readonly Local[];
  readonly #powers: readonly Local[];
  readonly #one: Local;

  /** Of so many vectors side by side. */
  constructor(fn: WasmFunction, vectors: number) {
    this.#exponential = new Exponential(fn);
    this.#gates = fn.locals('v128', vectors);
    this.#powers = fn.locals('v128', vectors);
    this.#one = fn.local('v128');
    this.constants = [this.#exponential.constants, set(this.#one, vector.floats(1))];
  }

  /** `ups` are multiplied by what becomes of the gates at `address`, side by side. */
  of(ups: readonly Local[], address: Code, offset: number): Code {
    const one = get(this.#one);
    const each = (body: (gate: Local, power: Local, up: Local, tile: number) => Code): Code =>
      ups.map((up, tile) => body(this.#gates[tile]!, this.#powers[tile]!, up, tile));
    return [
      each((gate, _, __, tile) => set(gate, vector.load(address, offset + tile * 16))),
      each((gate, power) => set(power, vector.subtract(vector.floats(0), vector.absolute(get(gate))))),
      each((_, power) => this.#exponential.of(power)),
      each((gate, power, up) => {
        const positive = vector.lessThan(vector.floats(0), get(gate));
        const sigmoid = vector.divide(
          integers.select(one, get(power), positive),
          vector.add(one, get(power)),
        );
        return set(up, vector.multiply(vector.multiply(get(gate), sigmoid), get(up)));
      }),
    ];
  }
}
