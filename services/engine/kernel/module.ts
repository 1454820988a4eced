import { type Code, type Local, unsigned } from './code.ts';

const TYPES = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
type Type = keyof typeof TYPES;

/** One function under construction: takes i32 parameters, returns nothing. */
export class WasmFunction {
  readonly name: string;
  readonly parameters: number;
  #body: Code = [];
  readonly #locals: Type[] = [];

  constructor(name: string, parameters: number) {
    this.name = name;
    this.parameters = parameters;
  }

  parameter(index: number): Local {
    return index as Local;
  }

  local(type: Type): Local {
    this.#locals.push(type);
    return (this.parameters + this.#locals.length - 1) as Local;
  }

  locals(type: Type, count: number): Local[] {
    return Array.from({ length: count }, () => this.local(type));
  }

  body(code: Code): void {
    this.#body = code;
  }

  /** `indexOf`: which function of the module has a name. */
  encode(indexOf: (name: string) => number): number[] {
    const bytes = [
      ...unsigned(this.#locals.length),
      ...this.#locals.flatMap((type) => [1, TYPES[type]]),
      ...flat(this.#body, indexOf),
      0x0b,
    ];
    return [...unsigned(bytes.length), ...bytes];
  }
}

function flat(code: Code, indexOf: (name: string) => number): number[] {
  const bytes: number[] = [];
  const walk = (part: Code): void => {
    for (const item of part) {
      if (typeof item === 'number') bytes.push(item);
      else if ('callee' in item) bytes.push(...unsigned(indexOf(item.callee)));
      else walk(item);
    }
  };
  walk(code);
  return bytes;
}

export const WASM_PAGE_BYTES = 64 * 1024;

/** A module that imports a shared memory as `host.memory` of `pages` 64 KiB pages and exports its functions by name. */
export function wasmModule(functions: readonly WasmFunction[], pages: number): Uint8Array<ArrayBuffer> {
  const text = (value: string): number[] => [...unsigned(value.length), ...Buffer.from(value)];
  const section = (id: number, items: readonly (readonly number[])[]): number[] => {
    const content = [...unsigned(items.length), ...items.flat()];
    return [id, ...unsigned(content.length), ...content];
  };
  const signature = (fn: WasmFunction): number[] => [
    0x60,
    ...unsigned(fn.parameters),
    ...new Array<number>(fn.parameters).fill(TYPES.i32),
    0,
  ];
  const indexOf = (name: string): number => functions.findIndex((fn) => fn.name === name);
  const memory = [...text('host'), ...text('memory'), 2, 3, ...unsigned(pages), ...unsigned(pages)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, functions.map(signature)),
    ...section(2, [memory]),
    ...section(
      3,
      functions.map((_, index) => unsigned(index)),
    ),
    ...section(
      7,
      functions.map((fn, index) => [...text(fn.name), 0, ...unsigned(index)]),
    ),
    ...section(
      10,
      functions.map((fn) => fn.encode(indexOf)),
    ),
  ]);
}
