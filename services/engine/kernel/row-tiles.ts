import { add, type Code, divide, get, int, type Local, multiply, remainder } from './code.ts';

/**
 * Rounded rows lie in tiles: of each four columns the bytes of all its rows side by side, so that a product finds every row of a
 * tile at a constant distance from the first.
 */
export const TILE_ROWS = 8;
/** Bytes that a row has of four columns, and that it has to its next four. */
export const FOUR_BYTES = 4;
export const STEP_BYTES = TILE_ROWS * FOUR_BYTES;

/** Address of a row's first number in its tile. */
export const inTile = (tiles: Code, row: Local, tileBytes: Code): Code =>
  add(
    add(tiles, multiply(divide(get(row), int(TILE_ROWS)), tileBytes)),
    multiply(remainder(get(row), int(TILE_ROWS)), int(FOUR_BYTES)),
  );

/** Bytes of the tiles of `rows` rows. */
export const tilesBytes = (rows: number, tileBytes: number): number =>
  Math.ceil(rows / TILE_ROWS) * tileBytes;
