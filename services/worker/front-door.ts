import type { Manifest } from '@rondo/bundle';
import { type GenerateSpec, isHomed, LIMITS, mayExitEarly, mustStayHomed, RondoError } from '@rondo/core';
import type { Chunk } from './chunk.ts';
import { HomeSequence } from './home-sequence.ts';
import { depthsOf, otherStageWorkers } from './itinerary.ts';
import type { KvPools } from './kv-pools.ts';
import type { PeerLinks } from './peer-links.ts';
import { type KvNeed, Residency } from './residency.ts';
import type { Tenants } from './tenants.ts';

export interface FrontDoorOptions {
  readonly self: string;
  readonly bundleDigest: string;
  readonly manifest: Manifest;
  readonly tenants: Tenants;
  readonly pools: KvPools;
  readonly peers: PeerLinks;
  ready(chunk: Chunk): void;
  /** A generated row has given a token, after so many passes. */
  spent(passes: number): void;
  closed(home: HomeSequence): void;
  /** Has a reader of events called when there is time for it. */
  wake(reader: () => void): void;
  /** The prefix cache was asked for the pages of so many positions of a prompt and had some. */
  prefixSought(positions: number, found: number): void;
}

/** Where sequences that will live here come in: checked, given their pages on every worker of the route, or refused. */
export class FrontDoor {
  readonly #options: FrontDoorOptions;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
  }

  /**
   * Opens a sequence with all of its pages reserved; nothing runs before `start`. Aborting closes it at any time.
   * @throws RondoError BUNDLE_MISMATCH, WORKER_LOST (the route is not for this worker), INVALID_REQUEST,
   * CONTEXT_LENGTH_EXCEEDED, OVERLOADED, KV_EXHAUSTED, or what a stage worker answered.
   */
  async open(spec: GenerateSpec, signal: AbortSignal): Promise<HomeSequence> {
    const { tenants, pools, peers, self, manifest } = this.#options;
    this.#check(spec);
    signal.throwIfAborted();
    const need = this.#need(spec);
    tenants.admit(spec.sequenceId, spec.route, (leaving) => Residency.fits(pools, need, leaving));
    const home = this.#settleIn(spec, need);
    tenants.add(home);
    signal.addEventListener('abort', () => home.close(), { once: true });
    try {
      const { sequenceId, route, exit, promptIds, promptLogprobs } = spec;
      const { positions } = home.residency;
      const promptStates = promptLogprobs || manifest.layers.coda > 0;
      const { traceparent, tellRuns } = spec;
      const { background } = home;
      const told = { promptRows: promptIds.length, promptStates, background, traceparent, tellRuns };
      const stage = { sequenceId, route, positions, exit, ...told };
      await Promise.all(otherStageWorkers(route, self).map(({ address }) => peers.openStage(address, stage)));
    } catch (thrown) {
      home.close();
      // Where one stage fails the others' openings are called off: that is not why.
      throw home.failure ?? thrown;
    }
    return home;
  }

  #need(spec: GenerateSpec): KvNeed {
    const { self, manifest } = this.#options;
    const { shape, layers } = manifest;
    const positions = Math.min(spec.promptIds.length + spec.maxTokens, shape.context);
    // Log probabilities of a prompt need all of its rows to run, and without a token to give none runs.
    const shares = isHomed(spec.route) && !spec.promptLogprobs && positions > spec.promptIds.length;
    return {
      positions,
      depths: depthsOf(spec.route, self),
      preludeLayers: layers.prelude,
      codaLayers: layers.coda,
      promptIds: shares ? spec.promptIds : undefined,
    };
  }

  #settleIn(spec: GenerateSpec, need: KvNeed): HomeSequence {
    const { self, manifest, pools, ready, spent, wake, closed, prefixSought } = this.#options;
    const { positions, depths, promptIds } = need;
    const residency = Residency.open(pools, need);
    if (!residency) {
      throw new RondoError(
        'KV_EXHAUSTED',
        `worker ${self} has no pages left for ${positions} positions at ${depths.length} depths`,
      );
    }
    if (promptIds && pools.prefixes) prefixSought(promptIds.length, residency.cachedPositions);
    const plan = {
      chunkRows: spec.background ? LIMITS.backgroundChunkRows : LIMITS.prefillChunkRows,
      // One at each stage and one on the way to each: no stage waits for a hop.
      chunksInFlight: isHomed(spec.route) ? 1 : 2 * spec.route.stages.length,
      tokensMax: positions - spec.promptIds.length,
      candidates: manifest.headCandidates,
    };
    return new HomeSequence(spec, residency, plan, { ready, spent, wake, closed });
  }

  #check(spec: GenerateSpec): void {
    const { self, bundleDigest, manifest } = this.#options;
    const { route, promptIds, emitted, maxTokens, exit } = spec;
    const { context, vocab } = manifest.shape;
    const invalid = (message: string, param?: string) =>
      new RondoError('INVALID_REQUEST', message, { param });
    if (spec.bundleDigest !== bundleDigest) {
      throw new RondoError(
        'BUNDLE_MISMATCH',
        `the request is for bundle ${spec.bundleDigest}, worker ${self} runs ${bundleDigest}`,
      );
    }
    if (route.home.id !== self) {
      throw new RondoError('WORKER_LOST', `the route names worker ${route.home.id}, here is worker ${self}`);
    }
    const covered = route.stages.reduce(
      (end, { depths }) => (depths.first === end ? depths.end : Number.NaN),
      0,
    );
    if (covered !== manifest.maxDepth)
      throw invalid(`the route's stages do not cover depths 0…${manifest.maxDepth - 1}`);
    if (promptIds.length === 0) throw invalid('the prompt is empty', 'prompt');
    const bad = emitted.find(({ passes }) => passes < 1 || passes > manifest.maxDepth);
    if (bad) throw invalid(`an emitted token of ${bad.passes} passes, the model has ${manifest.maxDepth}`);
    if (emitted.length > maxTokens) throw invalid(`${emitted.length} emitted tokens of at most ${maxTokens}`);
    const stray = [...promptIds, ...emitted.map((token) => token.id)].find(
      (id) => !Number.isInteger(id) || id < 0 || id >= vocab,
    );
    if (stray !== undefined) throw invalid(`token id ${stray} is outside 0…${vocab - 1}`, 'prompt');
    if (promptIds.length + Math.min(maxTokens, 1) > context) {
      throw new RondoError(
        'CONTEXT_LENGTH_EXCEEDED',
        `a prompt of ${promptIds.length} tokens leaves no room to answer in a context of ${context}`,
        { param: 'prompt' },
      );
    }
    if (!(exit.minDepth >= 1 && exit.minDepth <= exit.maxDepth && exit.maxDepth <= manifest.maxDepth)) {
      throw invalid(
        `1 ≤ min_depth ${exit.minDepth} ≤ max_depth ${exit.maxDepth} ≤ ${manifest.maxDepth} does not hold`,
      );
    }
    const replaysExits = emitted.length > 0 && mayExitEarly(exit, manifest.maxDepth);
    if (!isHomed(route) && (replaysExits || emitted.some(({ passes }) => passes < manifest.maxDepth))) {
      throw invalid('only a home knows when the rows of emitted tokens left: the sequence must be homed');
    }
    if (!isHomed(route) && mustStayHomed(exit, manifest.kvPolicy, manifest.maxDepth)) {
      throw invalid(
        `a sequence whose rows may exit early by ${exit.policy} with kvPolicy ${manifest.kvPolicy} must be homed`,
        'max_depth',
      );
    }
  }
}
