import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { openBundle } from '@rondo/bundle';
import { convert, openCheckpoint } from '@rondo/converter';

const RONDO = new URL('../rondo', import.meta.url).pathname;
const TINY = new URL('./fixtures/tiny/llama-gqa/checkpoint', import.meta.url).pathname;

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'rondo-convert-'));
});
after(() => rm(root, { recursive: true, force: true }));

const fresh = async (name: string): Promise<string> => {
  const directory = join(root, name);
  await mkdir(directory);
  return directory;
};

/** Runs a POSIX shell script with `args` as $1, $2, … */
const shell = (script: string, ...args: string[]) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    // What Node keeps of its compilation would go to the place that is full.
    const env = { ...process.env, NODE_COMPILE_CACHE: '' };
    execFile('sh', ['-c', script, 'sh', ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });

const ownLines = (stderr: string): string[] =>
  stderr.split('\n').filter((line) => line.startsWith('rondo: '));

/** Runs the script $3 with a small disk of its own at $1, made with the options $2. */
const SMALL_DISK =
  'exec unshare -rm sh -c \'mount -t tmpfs -o "$2" none "$1" && eval "$3"\' sh "$1" "$2" "$3"';
const mounts = spawnSync('sh', ['-c', SMALL_DISK, 'sh', tmpdir(), 'size=64k', 'true']).status === 0;

// The directory itself takes an inode, the unfinished bundle in it another.
const smallDisks: readonly (readonly [what: string, options: string, file: string])[] = [
  ['without space for the weights', 'size=64k', 'weights.bin'],
  ['without an inode for the weights', 'nr_inodes=2', 'weights.bin'],
  ['without an inode for a graph', 'nr_inodes=3', 'prelude.onnx'],
];
for (const [what, options, file] of smallDisks) {
  test(`a disk ${what} ends with the file and a remedy, and nothing is left`, {
    skip: mounts ? false : 'this account may not mount a small disk (unshare -rm)',
  }, async () => {
    const disk = await fresh(options);
    const script = `'${RONDO}' convert '${TINY}' --out '${disk}/out'; code=$?; ls -A '${disk}'; exit $code`;
    const { code, stdout, stderr } = await shell(SMALL_DISK, disk, options, script);
    assert.deepEqual([code, stdout], [1, '']);
    const [line, ...others] = ownLines(stderr);
    assert.match(line!, new RegExp(`/${file}: writing byte .* the disk is full; free some space`));
    assert.deepEqual(others, []);
  });
}

test('a file system that is read-only ends with a remedy', {
  skip: mounts ? false : 'this account may not mount a small disk (unshare -rm)',
}, async () => {
  const disk = await fresh('read-only');
  const { code, stderr } = await shell(
    SMALL_DISK,
    disk,
    'ro',
    `'${RONDO}' convert '${TINY}' --out '${disk}/out'`,
  );
  assert.equal(code, 1);
  assert.match(
    ownLines(stderr).join('\n'),
    /read-only\/out.*: the file system is read-only; choose another --out$/,
  );
});

test('a bundle given as a checkpoint, and one with a value that is none, are named with what to do', async () => {
  const directory = await fresh('no-checkpoint');
  const [bundle, broken] = [join(directory, 'bundle'), join(directory, 'broken')];
  assert.equal((await shell(`'${RONDO}' convert '${TINY}' --out '${bundle}'`)).code, 0);
  const again = await shell(`'${RONDO}' convert '${bundle}' --out '${bundle}-2'`);
  assert.equal(again.code, 1);
  assert.match(ownLines(again.stderr).join(), /bundle: a bundle, not a checkpoint: .* rondo export$/);
  await cp(TINY, broken, { recursive: true });
  const path = join(broken, 'model.safetensors');
  const { header, data } = safetensors(await readFile(path));
  const name = 'model.layers.1.mlp.up_proj.weight';
  assert.equal(header[name]!.dtype, 'F32');
  data.writeFloatLE(Number.NaN, header[name]!.data_offsets[0] + 8);
  const file = await readFile(path);
  await writeFile(path, [file.subarray(0, file.length - data.length), data]);
  const { code, stderr } = await shell(`'${RONDO}' convert '${broken}' --out '${bundle}-3'`);
  assert.equal(code, 1);
  assert.match(
    ownLines(stderr).join(),
    /model\.safetensors: tensor model\.layers\.1\.mlp\.up_proj\.weight \[77,48\]: value 2 is NaN/,
  );
  assert.deepEqual((await readdir(directory)).sort(), ['broken', 'bundle']);
});

test('a limit on the size of files ends with the file and a remedy, and nothing is left', async () => {
  const directory = await fresh('limited');
  const { code, stderr } = await shell(
    'ulimit -f 16; exec "$1" convert "$2" --out "$3"',
    RONDO,
    TINY,
    join(directory, 'out'),
  );
  assert.equal(code, 1);
  const [line, ...others] = ownLines(stderr);
  assert.match(line!, /weights\.bin: writing byte \d+ failed: files may not grow that large.*--out/);
  assert.deepEqual(others, []);
  assert.deepEqual(await readdir(directory), []);
});

test('a checkpoint cut while it is read is named with its tensor, and the older bundle stays', async () => {
  const directory = await fresh('cut');
  const [path, out] = [join(directory, 'checkpoint'), join(directory, 'out')];
  await cp(TINY, path, { recursive: true });
  const checkpoint = await openCheckpoint(path);
  try {
    await convert({ checkpoint, out, precision: 'f32' });
    const { digest } = await openBundle(out);
    await truncate(join(path, 'model.safetensors'), 60_000);
    await assert.rejects(convert({ checkpoint, out, precision: 'int8' }), {
      code: 'CHECKPOINT_INVALID',
      message: /model\.safetensors: .*(layers\.\d|embed_tokens|lm_head|norm)/,
    });
    assert.equal((await openBundle(out)).digest, digest);
    assert.deepEqual((await readdir(directory)).sort(), ['checkpoint', 'out']);
  } finally {
    await checkpoint.close();
  }
});

test('what would make a bundle that does not open is refused, and the older bundle stays', async () => {
  const directory = await fresh('unopenable');
  const out = join(directory, 'out');
  const opened = await openCheckpoint(TINY);
  const { path, format, licence, name, tokenizerFiles } = opened;
  const inverseFrequencies = opened.model.rope.inverseFrequencies.map(() => Number.POSITIVE_INFINITY);
  const model = { ...opened.model, rope: { inverseFrequencies, attentionFactor: 1 } };
  const read = (tensor: string) => opened.read(tensor);
  const close = () => opened.close();
  try {
    await convert({ checkpoint: opened, out, precision: 'f32' });
    const { digest } = await openBundle(out);
    const checkpoint = { path, format, licence, name, model, tokenizerFiles, read, close };
    await assert.rejects(convert({ checkpoint, out, precision: 'f32' }), {
      code: 'CHECKPOINT_INVALID',
      message: /llama-gqa\/checkpoint: the bundle .* would not open.*rope\.inverseFrequencies\.0/,
    });
    assert.equal((await openBundle(out)).digest, digest);
    assert.deepEqual(await readdir(directory), ['out']);
  } finally {
    await opened.close();
  }
});

test('Ctrl-C in the middle leaves nothing behind', async () => {
  const directory = await fresh('interrupted');
  const path = join(directory, 'checkpoint');
  await deepCheckpoint(path, 400);
  const child = spawn(RONDO, ['convert', path, '--out', join(directory, 'out')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    if (lines.push(line) === 1) child.kill('SIGINT');
  }
  if (child.exitCode === null) await once(child, 'exit');
  assert.equal(child.exitCode, 1, lines.join('\n'));
  assert.match(lines.at(-1)!, /^rondo: convert to .* stopped; nothing was left$/);
  assert.deepEqual(await readdir(directory), ['checkpoint']);
});

/** The tiny checkpoint with its first layer repeated, so that converting it takes far longer than a signal. */
async function deepCheckpoint(path: string, layers: number): Promise<void> {
  await mkdir(path);
  const config = JSON.parse(await readFile(join(TINY, 'config.json'), 'utf8')) as object;
  await writeFile(join(path, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: layers }));
  const { header, data } = safetensors(await readFile(join(TINY, 'model.safetensors')));
  const deep: Record<string, Entry> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  const add = (name: string, entry: Entry) => {
    const bytes = data.subarray(...entry.data_offsets);
    deep[name] = { ...entry, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  };
  for (const [name, entry] of Object.entries(header)) {
    if (!name.includes('.layers.')) add(name, entry);
    if (!name.includes('.layers.0.')) continue;
    for (let layer = 0; layer < layers; layer++) add(name.replace('.0.', `.${layer}.`), entry);
  }
  const text = Buffer.from(JSON.stringify(deep));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(join(path, 'model.safetensors'), [length, text, ...parts]);
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

function safetensors(file: Buffer): { header: Record<string, Entry>; data: Buffer } {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...header } = JSON.parse(file.toString('utf8', 8, start)) as Record<string, Entry>;
  return { header, data: file.subarray(start) };
}

test('an exit that no pass could take, or that no policy is of, is refused before anything is written', async () => {
  const out = join(await fresh('exits'), 'bundle');
  const loop = `--loop-layers 1-2 --loops 2 --out "${out}"`;
  for (const [options, reason] of [
    ['--min-depth 5 --exit-policy confidence --exit-threshold 0.5', /--min-depth 5: the model has 2 passes/],
    ['--min-depth 2', /only with --exit-policy/],
    ['--exit-threshold 0.5', /only with --exit-policy/],
  ] as const) {
    const { code, stderr } = await shell(`"${RONDO}" convert "${TINY}" ${loop} ${options}`);
    assert.equal(code, 1);
    assert.match(ownLines(stderr).join(), reason);
    await assert.rejects(readdir(out));
  }
});

test('an --out below a file is one clear line', async () => {
  const directory = await fresh('below-a-file');
  await writeFile(join(directory, 'file'), '');
  const { code, stderr } = await shell(
    'exec "$1" convert "$2" --out "$3"',
    RONDO,
    TINY,
    join(directory, 'file/out'),
  );
  assert.equal(code, 1);
  assert.match(ownLines(stderr).join('\n'), /^rondo: \S+file\/out.*ENOTDIR/);
  assert.ok(!stderr.includes('defect'));
});

test('a place where no directory can be made is an error and not an endless wait', async () => {
  const { code, stderr } = await shell(`'${RONDO}' convert '${TINY}' --out /proc/rondo/bundle`);
  assert.equal(code, 1);
  assert.match(stderr, /^rondo: \/proc\/rondo\/bundle.*: .*ENOENT/m);
});
