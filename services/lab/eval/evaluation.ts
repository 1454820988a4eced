import { basename } from 'node:path';
import { type Bundle, bundleBytes, type Manifest } from '@rondo/bundle';
import { RondoError } from '@rondo/core';
import { type Cell, cellsOf, pagesOf, unitsOf } from './cells.ts';
import { greedyWindows } from './greedy-text.ts';
import { type Protocol, prepareProtocol } from './protocol.ts';
import { Sequences } from './sequences.ts';
import { measureSpeed, type Speed, type SpeedOptions } from './speed.ts';
import type { EvalSuite } from './suite.ts';

export interface Variant {
  readonly name: string;
  /** The last part of its path: a report may be read elsewhere. */
  readonly directory: string;
  readonly digest: string;
  /** Of all files of the bundle. */
  readonly bytes: number;
  readonly precision: Manifest['precision'];
  readonly maxDepth: number;
  /** Of its adapters; 0 without. */
  readonly rank: number;
  /** Every depth, all passes last; then every threshold. */
  readonly cells: readonly Cell[];
  /** As much as could be measured, if it was asked for. */
  readonly speed?: Speed;
  /** Why there is no speed, or not of every way of running, though it was asked for; in a report the first line of that. */
  readonly speedFault?: string;
}

export interface Evaluation {
  readonly protocol: Protocol;
  readonly a: Variant;
  readonly bs: readonly Variant[];
}

export interface EvaluationOptions {
  readonly a: Bundle;
  readonly bs: readonly Bundle[];
  readonly suite: EvalSuite;
  readonly threads: number;
  readonly onProgress?: (done: number, total: number, title: string) => void;
  /** Aborted when the user stops the run, which then throws its reason; once quality is known, it ends without the speeds that are missing. */
  readonly signal?: AbortSignal;
  /** Runs `rondo` with these arguments until it is ready: to measure speeds too. */
  readonly launch?: SpeedOptions['launch'];
  /** Told of what ended the measuring of a variant's speed, which the evaluation outlives. */
  readonly onSpeedFault?: (variant: Variant, fault: Error) => void;
}

/**
 * Runs the protocol of `suite` with A, and with each B beside A.
 * @throws RondoError CONFIG_INVALID for bundles whose tokenizers cut the suite's texts differently, whose context is shorter than
 * the suite's windows, or for a B with fewer ids than A.
 */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { a, bs, suite, threads } = options;
  const { settings } = suite;
  const protocol = await prepareProtocol(suite, a);
  for (const b of bs) {
    refuseOther(protocol, await prepareProtocol(suite, b), b);
    refuseShorter(a, b);
  }
  const open = (bundle: Bundle) =>
    Sequences.open(bundle, { threads, pages: pagesOf(bundle.manifest, protocol, settings) });
  const progress = progressOf(options, protocol);
  const modelA = await open(a);
  const variants: Variant[] = [];
  try {
    const greedy = await greedyWindows(modelA, protocol.windows, settings.greedy);
    const units = { ...protocol, greedy, settings };
    const measured = async (b: Sequences, role: string) =>
      variantOf(b.bundle, await cellsOf({ a: modelA, b }, units, progress(role)));
    variants.push(await measured(modelA, `A ${a.manifest.name}`));
    for (const b of bs) {
      const modelB = await open(b);
      try {
        variants.push(await measured(modelB, `B ${b.manifest.name}`));
      } finally {
        await modelB.close();
      }
    }
  } finally {
    await modelA.close();
  }
  // With every engine of this process gone: nothing but what serves is in the way.
  const [ofA, ...ofBs] = await withSpeeds(variants, protocol, options);
  return { protocol, a: ofA!, bs: ofBs };
}

/** Quality took far longer: a speed that cannot be measured, for whatever reason, costs that model's further speeds and nothing else. */
async function withSpeeds(
  variants: readonly Variant[],
  { windows }: Protocol,
  { a, bs, suite, threads, launch, signal, onProgress, onSpeedFault }: EvaluationOptions,
): Promise<Variant[]> {
  if (!launch) return [...variants];
  const { greedy } = suite.settings;
  const measured: Variant[] = [];
  for (const [at, bundle] of [a, ...bs].entries()) {
    const { cells, maxDepth } = variants[at]!;
    const full = cells.find(({ exit }) => exit.kind === 'depth' && exit.passes === maxDepth)!;
    const exits = [full, ...cells.filter(({ exit }) => exit.kind === 'threshold')].map(({ exit }) => exit);
    const told = (done: number, total: number) =>
      onProgress?.(done, total, `speed of ${at === 0 ? 'A' : 'B'} ${bundle.manifest.name}`);
    const options = { launch, threads, windows, greedy, exits, signal, onProgress: told };
    const { speed, fault } = await speedUpTo(bundle, options);
    const variant = {
      ...variants[at]!,
      ...(speed && { speed }),
      ...(fault && { speedFault: fault.message }),
    };
    if (fault) onSpeedFault?.(variant, fault);
    measured.push(variant);
  }
  return measured;
}

/** What could be measured; of a run that was stopped the fault is the user's reason rather than that of whatever it broke off. */
async function speedUpTo(
  bundle: Bundle,
  options: SpeedOptions,
): Promise<{ readonly speed?: Speed; readonly fault?: Error }> {
  const { signal } = options;
  const reasonOf = (error: unknown) => (signal?.aborted ? signal.reason : error) as Error;
  try {
    signal?.throwIfAborted();
    const { speed, fault } = await measureSpeed(bundle, options);
    return fault === undefined ? { speed } : { speed, fault: reasonOf(fault) };
  } catch (error) {
    return { fault: reasonOf(error) };
  }
}

function progressOf({ a, bs, suite, signal, onProgress }: EvaluationOptions, protocol: Protocol) {
  const works = [a, ...bs].map(({ manifest }) => unitsOf(manifest, protocol, suite.settings));
  const total = works.reduce((sum, work) => sum + work, 0);
  let done = 0;
  return (title: string) => (units: number) => {
    signal?.throwIfAborted();
    done += units;
    onProgress?.(done, total, title);
  };
}

function variantOf({ manifest, directory, digest }: Bundle, cells: Cell[]): Variant {
  return {
    name: manifest.name,
    directory: basename(directory),
    digest,
    bytes: bundleBytes(manifest),
    precision: manifest.precision,
    maxDepth: manifest.maxDepth,
    rank: manifest.adapters?.rank ?? 0,
    cells,
  };
}

function refuseOther(ofA: Protocol, ofB: Protocol, b: Bundle): void {
  if (ofA.tokens === ofB.tokens) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `${b.directory}: its tokenizer cuts the suite's texts differently from A's: next tokens and perplexities of the two cannot be compared`,
  );
}

/** More ids than A has are no harm: A gives them no probability. */
function refuseShorter(a: Bundle, b: Bundle): void {
  const [ofA, ofB] = [a.manifest.shape.vocab, b.manifest.shape.vocab];
  if (ofB >= ofA) return;
  throw new RondoError(
    'CONFIG_INVALID',
    `${b.directory}: has logits of ${ofB} ids, A of ${ofA}: of those that are missing no KL can be told; compare it with a model of as many`,
  );
}
