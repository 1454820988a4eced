import {
  bundleBytes,
  kvBytesPerPosition,
  layersPerToken,
  type Manifest,
  pagedKvBytesPerToken,
} from '@rondo/bundle';
import type { ModelSpec } from '@rondo/converter';

/** One line: what it is called and what it is. */
export type InspectRow = readonly [name: string, value: string];

export interface SizedFile {
  readonly path: string;
  readonly bytes: number;
}

/** What a bundle is, for whoever is about to serve it. */
export function bundleRows(manifest: Manifest, directory: string, digest: string): InspectRow[] {
  const { source, shape, layers, maxDepth, precision, kvPolicy, tokenizer, tokens, files } = manifest;
  return [
    ['bundle', directory],
    ['name', manifest.name],
    ['source', `${source.checkpoint}, architecture ${source.architecture}, licence ${source.licence}`],
    ['shape', shapeText(shape)],
    [
      'layers',
      `${layers.prelude} before the loop, ${layers.block} in the block, ${layers.coda} after it; a token runs ${layersPerToken(manifest)}`,
    ],
    ['depth', maxDepth === 1 ? '1 pass: not looped' : `${maxDepth} passes`],
    ['loop', loopText(manifest)],
    ['exits', exitText(manifest)],
    ['kv policy', kvPolicy],
    ['adapters', adapterText(manifest)],
    ['precision', precision],
    ['tokens', tokensText(tokens, tokenizer !== undefined)],
    ['K and V', kvText(pagedKvBytesPerToken(manifest), shape.context)],
    ['files', `${files.length}, ${bytesText(bundleBytes(manifest))}, sizes and sha256 as written`],
    ...fileRows(files),
    ['digest', digest],
  ];
}

/** What a checkpoint is, for whoever is about to convert it. */
export function checkpointRows(
  model: ModelSpec,
  facts: {
    readonly path: string;
    readonly name: string;
    readonly format: string;
    readonly licence: string;
    readonly parameters: number;
    readonly exported: boolean;
    readonly hasTokenizer: boolean;
    readonly files: readonly SizedFile[];
  },
): InspectRow[] {
  const passes = model.loop?.passes ?? 1;
  const total = facts.files.reduce((sum, { bytes }) => sum + bytes, 0);
  const kv = kvBytesPerPosition(model, model.layers * passes);
  return [
    ['checkpoint', facts.path],
    ['name', facts.name],
    [
      'source',
      `${facts.format}${facts.exported ? ', written by rondo export' : ''}, architecture ${model.architecture}, licence ${facts.licence}`,
    ],
    ['shape', `${shapeText(model)}, feed-forward ${model.ffn}`],
    ['layers', `${model.layers}, ${grouped(facts.parameters)} parameters`],
    ['depth', model.loop ? `${passes} passes, trained looped` : 'not looped; rondo convert --help says how'],
    ['exits', model.loop?.gate ? `gate, threshold ${model.loop.exitThreshold}` : 'none'],
    ['tokens', tokensText(model, facts.hasTokenizer)],
    ['K and V', kvText(kv, model.context)],
    ['files', `${facts.files.length}, ${bytesText(total)}`],
    ...facts.files.map(({ path, bytes }): InspectRow => ['', `${path}  ${bytesText(bytes)}`]),
  ];
}

/** Names beside values. */
export function rowsText(rows: readonly InspectRow[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd().concat('\n')).join('');
}

const shapeText = ({
  hidden,
  heads,
  kvHeads,
  headDim,
  vocab,
  context,
}: Pick<ModelSpec, 'hidden' | 'heads' | 'kvHeads' | 'headDim' | 'vocab' | 'context'>): string =>
  `hidden ${hidden}, ${heads} heads over ${kvHeads} of K and V, ${headDim} wide, vocabulary ${vocab}, context ${context}`;

function loopText({ loop, maxDepth, tied }: Manifest): string {
  const { first, last, damping } = loop;
  if (tied) {
    const how =
      tied.init === 'average' && tied.initNorms
        ? `average (norms ${tied.initNorms})`
        : tied.init === 'random'
          ? `random (seed ${tied.initSeed})`
          : tied.init;
    return `the source's layers ${first}-${last} tied, begun as ${how}, norms and biases ${tied.norms}`;
  }
  const repeated = `the source's layers ${first}-${last}`;
  return maxDepth === 1 ? repeated : `${repeated} repeated, damping ${damping}`;
}

function exitText({ exit, maxDepth }: Manifest): string {
  const { policy, threshold, minDepth, signals } = exit;
  if (maxDepth === 1) return 'none: there is one pass';
  const given = `a request may choose among none, confidence, ${signals.join(', ')}`;
  return policy === 'none'
    ? `none; ${given}`
    : `${policy}, threshold ${threshold}, ${minDepth} ${minDepth === 1 ? 'pass' : 'passes'} at least; ${given}`;
}

function adapterText({ adapters }: Manifest): string {
  if (!adapters) return 'none';
  const { rank, targets, method, energy } = adapters;
  const chosen = energy === undefined ? `rank ${rank}` : `rank ${rank} at most, energy ${energy}`;
  const stored = method === 'integer' ? 'int8' : 'f32';
  return `${chosen}, on ${targets.join(', ')}, ${stored}, applied ${method}`;
}

function tokensText(
  { bos, eos }: { readonly bos?: number | undefined; readonly eos: readonly number[] },
  hasTokenizer: boolean,
): string {
  const ids = `begins with ${bos ?? 'none'}, ends with ${eos.length > 0 ? eos.join(', ') : 'none'}`;
  return `${ids}; ${hasTokenizer ? 'with a tokenizer' : 'no tokenizer: takes token ids alone'}`;
}

const kvText = (perToken: number, context: number): string =>
  `${grouped(perToken)} bytes a token, ${bytesText(perToken * context)} for a whole context`;

/** Graphs of one stack's segments as one line; everything else by itself. */
function fileRows(files: Manifest['files']): InspectRow[] {
  const groups = Map.groupBy(files, ({ path }) => path.replace(/\.\d+\.onnx$/, '.*.onnx'));
  return [...groups].map(([path, all]) => {
    const bytes = bytesText(all.reduce((sum, file) => sum + file.bytes, 0));
    const [only] = all;
    return [
      '',
      all.length > 1 ? `${path}  ${bytes} in ${all.length}` : `${only!.path}  ${bytes}  ${only!.sha256}`,
    ];
  });
}

const grouped = (count: number): string => count.toLocaleString('en-US');

const bytesText = (bytes: number): string =>
  bytes < 1e5 ? `${grouped(bytes)} bytes` : `${(bytes / 1e6).toFixed(1)} MB`;
