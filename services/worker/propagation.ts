import { LIMITS } from '@rondo/core';
import type { PropagateBatch } from '@rondo/engine';
import type { Tenant } from './tenant.ts';

interface ExitedRow {
  readonly tenant: Tenant;
  readonly position: number;
  readonly page: number;
  /** [hidden] */
  readonly state: Float32Array;
}

/** Rows that left the loop and whose K/V deeper passes will read: projected together before the block runs again. */
export class Propagation {
  #rows: ExitedRow[] = [];

  /** `page` holds the row's position at the next depth. */
  add(row: ExitedRow): void {
    this.#rows.push(row);
  }

  /** The rows that wait, of sequences still here, as many as one run may have. */
  take(hidden: number): { tenants: Tenant[]; batch: PropagateBatch } | undefined {
    const open = this.#rows.filter(({ tenant }) => tenant.open);
    const rows = open.slice(0, LIMITS.stepRowsMax);
    this.#rows = open.slice(LIMITS.stepRowsMax);
    if (rows.length === 0) return undefined;
    const state = new Float32Array(rows.length * hidden);
    rows.forEach((row, index) => {
      state.set(row.state, index * hidden);
    });
    return {
      tenants: rows.map((row) => row.tenant),
      batch: {
        state,
        positions: Int32Array.from(rows, (row) => row.position),
        pages: Int32Array.from(rows, (row) => row.page),
      },
    };
  }
}
