import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  type AdapterOptions,
  type Checkpoint,
  type Factors,
  LORA_TARGETS,
  type LoopOptions,
  LowRankThreads,
  planLoop,
  TiedCheckpoint,
  targetShape,
} from '@rondo/converter';

/**
 * The factors of a tied checkpoint at any rank, from one decomposition of every residual: truncated singular value
 * decompositions nest, so a rank's factors are the first columns of B and rows of A of the full one. They lie in files, 630 MB
 * for SmolLM2-135M, named by what was decomposed: a run that was stopped goes on with the next matrix, and a converter that
 * decomposes as before finds them again.
 */
export class NestedFactors {
  readonly #threads = new LowRankThreads(availableParallelism());
  readonly #directory: string;
  readonly #tied: TiedCheckpoint;
  readonly #most: number;

  /**
   * @param directory where factors are kept that are decomposed as now.
   * @param most the highest rank that will be asked for: directions beyond it are not sought.
   */
  constructor(checkpoint: Checkpoint, loop: LoopOptions, directory: string, most: number) {
    this.#directory = directory;
    this.#most = most;
    this.#tied = new TiedCheckpoint(checkpoint, planLoop(checkpoint.model, loop));
  }

  /** What `rondo convert --lora-rank <rank>` gives every linear. */
  atRank(rank: number, onProgress: (done: number, total: number) => void): AdapterOptions {
    return {
      targets: LORA_TARGETS,
      onProgress,
      factorsOf: async (layer, depth, target) => {
        const [out, columns] = targetShape(this.#tied.model, target);
        const whole = await this.#whole(await this.#tied.residual(layer, depth, target), out, columns);
        return firstRanks(whole, out, columns, rank);
      },
    };
  }

  close(): Promise<void> {
    return this.#threads.close();
  }

  /** A and B of `residual` [out, columns] behind each other in one file, whose size tells their rank. */
  async #whole(residual: Float32Array, out: number, columns: number): Promise<Factors> {
    const wish = this.#most < Math.min(out, columns) ? { rank: this.#most } : {};
    const shape = [out, columns, wish.rank].join(' ').trimEnd();
    const digest = createHash('sha256').update(residual).update(shape).digest('hex');
    const path = join(this.#directory, `${digest}.f32`);
    const known = await readFile(path).catch(() => undefined);
    if (known) {
      const values = new Float32Array(known.buffer, known.byteOffset, known.byteLength / 4);
      const rank = values.length / (out + columns);
      return { a: values.subarray(0, rank * columns), b: values.subarray(rank * columns) };
    }
    const { a, b } = await this.#threads.decompose(residual, out, columns, wish);
    await mkdir(this.#directory, { recursive: true });
    await writeFile(`${path}.${process.pid}`, [a, b]);
    await rename(`${path}.${process.pid}`, path);
    return { a, b };
  }
}

/** The first `rank` rows of A [r, columns] and columns of B [out, r]; all of them where there are no more. */
function firstRanks({ a, b }: Factors, out: number, columns: number, rank: number): Factors {
  const whole = a.length / columns;
  if (rank >= whole) return { a, b };
  const first = new Float32Array(out * rank);
  for (let row = 0; row < out; row++) {
    first.set(b.subarray(row * whole, row * whole + rank), row * rank);
  }
  return { a: a.slice(0, rank * columns), b: first };
}
