import { LIMITS } from '@rondo/core';
import { z } from 'zod';

/** Layers with K and V of their own: before the loop, inside it, after it. */
export const STACKS = ['prelude', 'block', 'coda'] as const;
export type Stack = (typeof STACKS)[number];

/** Shapes and rules of a bundle, written by the converter and believed by nobody until `openBundle` verified it. */
const positive = z.int().positive();

const file = z.strictObject({
  path: z.string().regex(/^[A-Za-z0-9._-]+$/, 'a plain file name inside the bundle'),
  bytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const byte = z.int().nonnegative();
/** Where the parts of a matrix begin: rounded by blocks of 32 columns (int4), or by outputs, without zero points (int8). */
const matrixPlace = z.strictObject({ data: byte, scales: byte, zeroPoints: byte.optional() });
/** Where a matrix of seven bits and its scales begin, int8 [inputs, outputs]. */
const integerPlace = z.strictObject({ data: byte, scales: byte, outputs: positive });
/** Where the factors of a linear are, of the method `integer`. */
const factorsPlace = z.strictObject({
  /** A of all parts and of each part all depths, side by side. */
  a: integerPlace,
  parts: z
    .array(
      z.strictObject({
        /** Outputs of the linear that are this part's. */
        firstOutput: byte,
        outputs: positive,
        /** By depth. */
        ranks: z.array(positive),
        /** B of all depths, which begins at an input and an output of a matrix that may hold other parts'. */
        b: integerPlace,
        firstInput: byte,
        firstColumn: byte,
      }),
    )
    .min(1),
});
const layerPlace = z.strictObject({
  attentionNorm: byte,
  ffnNorm: byte,
  /** Each norm is [maxDepth, hidden]. */
  normsPerDepth: z.boolean().optional(),
  qkv: matrixPlace,
  output: matrixPlace,
  gateUp: matrixPlace,
  down: matrixPlace,
  factors: z
    .strictObject({
      qkv: factorsPlace.optional(),
      output: factorsPlace.optional(),
      gateUp: factorsPlace.optional(),
      down: factorsPlace.optional(),
    })
    .optional(),
});

export type MatrixPlace = z.infer<typeof matrixPlace>;
export type FactorsPlace = z.infer<typeof factorsPlace>;
export type LayerPlace = z.infer<typeof layerPlace>;

export const manifestSchema = z.strictObject({
  schemaVersion: z.literal(2),
  name: z.string().min(1),
  source: z.strictObject({
    checkpoint: z.string(),
    architecture: z.string(),
    licence: z.string(),
  }),
  shape: z.strictObject({
    hidden: positive,
    heads: positive,
    kvHeads: positive,
    headDim: positive,
    vocab: positive,
    /** Longest sequence in positions. */
    context: positive,
  }),
  /** What it can be asked, suggested to whoever starts it; absent for a model of wide knowledge. */
  examples: z.array(z.string().min(1).max(200)).min(1).max(3).optional(),
  /** Unlooped layers before, unique layers inside, unlooped layers after the loop. */
  layers: z.strictObject({ prelude: z.int().nonnegative(), block: positive, coda: z.int().nonnegative() }),
  maxDepth: positive.max(LIMITS.passesMax),
  loop: z.strictObject({
    /** 0-based inclusive range of the source's layers that became the block. */
    first: z.int().nonnegative(),
    last: z.int().nonnegative(),
    /** α in h ← h + α·(block(h) − h). */
    damping: z.number().positive(),
  }),
  /** How each layer of the block was made of several of the source's (Bae et al. 2024); absent where it is one of them. */
  tied: z
    .strictObject({
      init: z.enum(['stepwise', 'average', 'lower', 'random']),
      /** Norm weights under `average`. */
      initNorms: z.enum(['average', 'choice', 'zero']).optional(),
      /** Under `random`. */
      initSeed: z.int().nonnegative().optional(),
      /** The source's layers that the block's began as, under `stepwise` and `lower`. */
      kept: z.array(z.int().nonnegative()).optional(),
      /** Whether each depth has norm weights and biases of its own. */
      norms: z.enum(['shared', 'per-depth']),
    })
    .optional(),
  exit: z.strictObject({
    policy: z.enum(['none', 'gate', 'latent-diff', 'confidence']),
    threshold: z.number().nonnegative(),
    minDepth: positive,
    /** Signals that the block graph puts out. */
    signals: z.array(z.enum(['gate', 'latent-diff'])),
  }),
  /** What deeper passes see of a row that left the loop early. */
  kvPolicy: z.enum(['last-exited', 'propagate', 'catch-up']),
  precision: z.enum(['f32', 'int8', 'int4']),
  /** Low-rank factors of their own for every depth, y = W·x + B_d·A_d·x, in the block; none by default. */
  adapters: z
    .strictObject({
      /** The highest; every matrix may have another one. */
      rank: positive,
      targets: z.array(z.enum(['q', 'k', 'v', 'o', 'gate', 'up', 'down'])).min(1),
      /** How the graphs find each row's factors in a batch of mixed depths. */
      method: z.enum(['grouped', 'masked', 'gathered', 'integer']),
      /** Share of each residual's squares that its rank was chosen to keep. */
      energy: z.number().positive().optional(),
      /** With `energy`: ranks by target, [layer of the block][depth]. */
      ranks: z
        .partialRecord(z.enum(['q', 'k', 'v', 'o', 'gate', 'up', 'down']), z.array(z.array(positive)))
        .optional(),
    })
    .optional(),
  /** Positions of K and V in one page, fixed in the graphs. */
  pagePositions: positive,
  /** Candidates per row that the head graph returns. */
  headCandidates: positive,
  tokens: z.strictObject({
    bos: z.int().nonnegative().optional(),
    /** Ids that end a generation. */
    eos: z.array(z.int().nonnegative()),
  }),
  /** Roles of the files. `coda` is absent when the model has no layers after the loop, `propagate` when depths differ, as `block` was in bundles of older versions. */
  graphs: z.strictObject({
    prelude: z.string(),
    block: z.string().optional(),
    coda: z.string().optional(),
    head: z.string(),
    /** K/V of deeper depths for rows that left the loop. */
    propagate: z.string().optional(),
    /** How K and V that stay on a device are written to their pages, and copied between them. */
    kvStore: z.string().optional(),
    kvCopy: z.string().optional(),
  }),
  /** Those of `graphs` that hold products of integers, without any: for providers that have none. */
  deviceGraphs: z
    .strictObject({
      prelude: z.string().optional(),
      block: z.string().optional(),
      coda: z.string().optional(),
      head: z.string().optional(),
    })
    .optional(),
  /** The stacks cut at their attentions, in order: one file more than the stack has layers, none for an empty one. */
  segments: z.strictObject({
    prelude: z.array(z.string()),
    block: z.array(z.string()),
    coda: z.array(z.string()),
  }),
  /** As `deviceGraphs`: the stacks whose segments hold products of integers, or norms per depth, in a form that devices run. */
  deviceSegments: z
    .strictObject({
      prelude: z.array(z.string()).optional(),
      block: z.array(z.string()).optional(),
      coda: z.array(z.string()).optional(),
    })
    .optional(),
  /** Where the table [vocab, hidden] of f32 lies, and what its rows are multiplied by; only where no layers precede the loop. */
  embedding: z.strictObject({ file: z.string(), offset: byte, scale: z.number() }).optional(),
  /**
   * Where the weights of each stack's layers lie in a file, for engines that compute rows without the graph runtime. Only
   * for int4, int8 and plain layers: RMS norms, a feed-forward gated by SiLU, no biases, no norms of heads or of outputs. What
   * differs by depth are norms and integer factors.
   */
  layerWeights: z
    .strictObject({
      file: z.string(),
      ffn: positive,
      normEpsilon: z.number().positive(),
      /** A pass ends with damping and the latent difference alone: no norm, no gate. */
      plainPassEnd: z.boolean().optional(),
      prelude: z.array(layerPlace),
      block: z.array(layerPlace),
      coda: z.array(layerPlace),
    })
    .optional(),
  /** The same of a head of seven bits, with the norm before it unless every pass ends with that. */
  headWeights: z
    .strictObject({
      file: z.string(),
      normEpsilon: z.number().positive(),
      finalNorm: byte.optional(),
      data: byte,
      scales: byte,
    })
    .optional(),
  /** What the graphs compute and where each weight lies, for `rondo export`; absent in bundles of older versions. */
  model: z.string().optional(),
  rope: z.strictObject({
    /** [headDim / 2] radians per position. */
    inverseFrequencies: z.array(z.number()),
    /** Factor on cosine and sine. */
    attentionFactor: z.number(),
  }),
  /** Absent for a bundle that can only be driven with token ids. */
  tokenizer: z
    .strictObject({
      tokenizer: z.string(),
      config: z.string().optional(),
      chatTemplate: z.string().optional(),
    })
    .optional(),
  files: z.array(file),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** Whether a pass is another one at every depth; the block's graphs are then told each row's depth. */
export const variesByDepth = ({ adapters, tied }: Pick<Manifest, 'adapters' | 'tied'>): boolean =>
  adapters !== undefined || tied?.norms === 'per-depth';

/** Bytes of K and V that one position of one sequence takes in one pass of `layers` layers, f32. */
export const kvBytesPerPosition = (shape: Manifest['shape'], layers: number): number =>
  layers * 2 * shape.kvHeads * shape.headDim * 4;

/** Bytes of a number of K and V in an engine's pages: beside quantised weights bfloat16. Graphs that attend themselves keep f32. */
export const kvNumberBytes = ({ precision }: Pick<Manifest, 'precision'>): 2 | 4 =>
  precision === 'f32' ? 4 : 2;

/** Layers that a token runs which spends every pass. */
export const layersPerToken = ({ layers, maxDepth }: Pick<Manifest, 'layers' | 'maxDepth'>): number =>
  layers.prelude + maxDepth * layers.block + layers.coda;

/** Bytes of K and V that one token takes through all passes, f32. */
export const kvBytesPerToken = (manifest: Pick<Manifest, 'shape' | 'layers' | 'maxDepth'>): number =>
  kvBytesPerPosition(manifest.shape, layersPerToken(manifest));

/** The same in an engine's pages. */
export const pagedKvBytesPerToken = (
  manifest: Pick<Manifest, 'shape' | 'layers' | 'maxDepth' | 'precision'>,
): number => (kvBytesPerToken(manifest) / 4) * kvNumberBytes(manifest);

/** Bytes of all files that the manifest lists. */
export const bundleBytes = ({ files }: Pick<Manifest, 'files'>): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);
