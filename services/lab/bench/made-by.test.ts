import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { madeBy, makerDigest } from './made-by.ts';

test('what lies there is made again by another maker, when it is gone, and when its making failed', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rondo-made-by-'));
  try {
    const path = join(directory, 'model');
    let times = 0;
    const make = async () => {
      await writeFile(path, String(++times));
    };
    // Of nobody knows whom, as before there were stamps.
    await writeFile(path, '0');
    await madeBy(path, 'first', make);
    await madeBy(path, 'first', make);
    assert.equal(await readFile(path, 'utf8'), '1');
    await madeBy(path, 'second', make);
    assert.equal(await readFile(path, 'utf8'), '2');
    await assert.rejects(
      madeBy(path, 'third', () => Promise.reject(new Error('no room'))),
      /no room/,
    );
    await madeBy(path, 'second', make);
    assert.equal(await readFile(path, 'utf8'), '3');
    await rm(path);
    await madeBy(path, 'second', make);
    assert.equal(await readFile(path, 'utf8'), '4');
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('another source is another maker', async () => {
  const here = await makerDigest(import.meta.filename);
  assert.equal(await makerDigest(import.meta.filename), here);
  assert.notEqual(await makerDigest(join(import.meta.dirname, 'made-by.ts')), here);
});
