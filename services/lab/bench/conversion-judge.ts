import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bundle, bundleBytes, openBundle } from '@rondo/bundle';
import { type AdapterMethod, type Checkpoint, convert, openCheckpoint } from '@rondo/converter';
import { pagesOf } from '../eval/cells.ts';
import { prepareProtocol } from '../eval/protocol.ts';
import { Sequences } from '../eval/sequences.ts';
import type { EvalSuite } from '../eval/suite.ts';
import { benchBundle, benchCheckpoint } from './bench-bundle.ts';
import { type Quality, QualityJudge } from './conversion-quality.ts';
import { decodeSpeed, openLoop } from './conversion-speed.ts';
import { type ConversionWay, mostRank, nestOf } from './conversion-ways.ts';
import type { EngineLoop } from './engine-loop.ts';
import { NestedFactors } from './nested-factors.ts';
import type { SuiteContext } from './suite.ts';

/** One way and what it came to. */
export interface Conversion extends Quality {
  readonly way: ConversionWay;
  /** Of all files of the bundle. */
  readonly bytes: number;
  /** Decoding speed, times the original's in the same seconds. */
  readonly speed: number;
}

/** The speed of a bundle's shape, found unless it is known. */
export type SpeedMemory = (bundle: Bundle, find: () => Promise<number>) => Promise<number>;

/** Makes a bundle of a way and holds it against the original; what that takes is opened when it is needed, and stays open. */
export class ConversionJudge {
  readonly #context: SuiteContext;
  readonly #suite: EvalSuite;
  readonly #speeds: SpeedMemory;
  /** Where factors of full rank lie. */
  readonly #nests: string;
  /** All that will be judged. */
  readonly #ways: readonly ConversionWay[];
  readonly #checkpoint: Checkpoint;
  #nest: { readonly name: string; readonly factors: NestedFactors } | undefined;
  #quality: QualityJudge | undefined;
  /** The original, which takes turns in every measurement of speed. */
  #original: EngineLoop | undefined;

  private constructor(
    context: SuiteContext,
    suite: EvalSuite,
    speeds: SpeedMemory,
    nests: string,
    ways: readonly ConversionWay[],
    checkpoint: Checkpoint,
  ) {
    this.#context = context;
    this.#suite = suite;
    this.#speeds = speeds;
    this.#nests = nests;
    this.#ways = ways;
    this.#checkpoint = checkpoint;
  }

  static async open(
    context: SuiteContext,
    suite: EvalSuite,
    speeds: SpeedMemory,
    nests: string,
    ways: readonly ConversionWay[],
  ): Promise<ConversionJudge> {
    const checkpoint = await openCheckpoint(await benchCheckpoint(context));
    return new ConversionJudge(context, suite, speeds, nests, ways, checkpoint);
  }

  async judge(way: ConversionWay): Promise<Conversion> {
    const parent = join(this.#context.cache, 'bench');
    await mkdir(parent, { recursive: true });
    // Sweeps that run side by side do not share it.
    const directory = await mkdtemp(join(parent, 'conversion-'));
    try {
      const bundle = await this.#convert(way, join(directory, 'bundle'));
      this.#quality ??= await this.#openQuality();
      const quality = await this.#quality.judge(bundle);
      const speed = await this.#speeds(bundle, () => this.#speedOf(bundle));
      return { way, ...quality, bytes: bundleBytes(bundle.manifest), speed };
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    await this.#nest?.factors.close();
    await this.#original?.close();
    await this.#checkpoint.close();
  }

  async #openQuality(): Promise<QualityJudge> {
    const { threads, seed, signal } = this.#context;
    const { settings } = this.#suite;
    const original = await this.#openOriginal();
    const protocol = await prepareProtocol(this.#suite, original);
    const open = (bundle: Bundle) =>
      Sequences.open(bundle, { threads, pages: pagesOf(bundle.manifest, protocol, settings) });
    return QualityJudge.of(original, { protocol, settings, seed, signal, open });
  }

  async #speedOf(bundle: Bundle): Promise<number> {
    this.#original ??= await openLoop(await this.#openOriginal(), this.#context.threads);
    return decodeSpeed(this.#context, bundle, this.#original);
  }

  #openOriginal(): Promise<Bundle> {
    return benchBundle(this.#context, { precision: 'f32' });
  }

  async #convert(way: ConversionWay, out: string): Promise<Bundle> {
    const { kind, loops, loopLayers, damping, kept, norms, precision = 'f32' } = way;
    const loop =
      kind === 'repeat' || kind === 'original'
        ? { loops, loopLayers, damping }
        : { loops, init: kind, keepFirst: kept, keepLast: kept, initNorms: norms };
    const adapters = await this.#adapters(way, loop);
    await convert({ checkpoint: this.#checkpoint, out, precision, ...loop, ...(adapters && { adapters }) });
    return openBundle(out);
  }

  async #adapters(way: ConversionWay, loop: ConstructorParameters<typeof NestedFactors>[1]) {
    const name = nestOf(way);
    if (name === undefined) return undefined;
    if (this.#nest?.name !== name) {
      await this.#nest?.factors.close();
      const most = mostRank(this.#ways, way);
      this.#nest = { name, factors: new NestedFactors(this.#checkpoint, loop, this.#nests, most) };
    }
    const method: AdapterMethod = way.factors === 'int8' ? 'integer' : 'grouped';
    return { ...this.#nest.factors.atRank(way.rank, this.#tellProgress), method };
  }

  readonly #tellProgress = (done: number, total: number) => {
    this.#context.signal.throwIfAborted();
    if (done % 70 === 0) this.#context.progress(`  ${done} of ${total} matrices`);
  };
}
