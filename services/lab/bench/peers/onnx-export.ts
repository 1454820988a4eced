import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  Graph,
  type ModelSpec,
  ORT,
  openCheckpoint,
  QUANTIZATION_BLOCK,
  quantize,
  type Value,
  WeightsFile,
} from '@rondo/converter';

/** What transformers.js calls the ways to store a model; the file is onnx/model<suffix>.onnx. */
export const EXPORT_SUFFIX = { fp32: '', q4: '_q4' } as const;
export type ExportDtype = keyof typeof EXPORT_SUFFIX;

/**
 * Writes the Llama checkpoint at `path` into `directory` as transformers.js loads it: config.json and, for each dtype,
 * one decoder graph with its weights beside it. The graph is what ONNX exports for transformers.js contain: projections
 * and `GroupQueryAttention` with its own rotary embedding and key-value cache (past_key_values.N → present.N). Queries,
 * keys and values are one product, and only the last position has logits: both are to the reader's advantage.
 */
export async function exportForTransformersJs(path: string, directory: string): Promise<void> {
  const partial = `${directory}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(join(partial, 'onnx'), { recursive: true });
  const checkpoint = await openCheckpoint(path);
  try {
    await writeFile(join(partial, 'config.json'), JSON.stringify(config(checkpoint.model), null, 2));
    for (const dtype of Object.keys(EXPORT_SUFFIX) as ExportDtype[]) {
      await writeDecoder(checkpoint, join(partial, 'onnx'), dtype);
    }
  } finally {
    await checkpoint.close();
  }
  await rm(directory, { recursive: true, force: true });
  await rename(partial, directory);
}

const config = (model: ModelSpec): object => ({
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: model.hidden,
  intermediate_size: model.ffn,
  num_hidden_layers: model.layers,
  num_attention_heads: model.heads,
  num_key_value_heads: model.kvHeads,
  head_dim: model.headDim,
  vocab_size: model.vocab,
  max_position_embeddings: model.context,
});

async function writeDecoder(checkpoint: Checkpoint, directory: string, dtype: ExportDtype): Promise<void> {
  const name = `model${EXPORT_SUFFIX[dtype]}.onnx`;
  const weights = await WeightsFile.create(join(directory, `${name}_data`), `${name}_data`);
  try {
    const graph = await new Decoder(checkpoint, weights, dtype).write();
    await writeFile(join(directory, name), graph.encode());
  } finally {
    await weights.close();
  }
}

/** One decoder graph in the making. transformers.js knows the symbolic dimensions by these names. */
class Decoder {
  readonly #graph = new Graph('decoder');
  readonly #checkpoint: Checkpoint;
  readonly #weights: WeightsFile;
  readonly #dtype: ExportDtype;

  constructor(checkpoint: Checkpoint, weights: WeightsFile, dtype: ExportDtype) {
    this.#checkpoint = checkpoint;
    this.#weights = weights;
    this.#dtype = dtype;
  }

  async write(): Promise<Graph> {
    const graph = this.#graph;
    const { hidden, vocab, layers } = this.#checkpoint.model;
    const ids = graph.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
    const mask = graph.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
    const embedding = await this.#checkpoint.read('embedding');
    const table = graph.weight('embedding', await this.#weights.append(embedding, [vocab, hidden]));
    const attend = this.#attention(mask);
    let state = graph.node('Gather', [table, ids]);
    for (let layer = 0; layer < layers; layer++) {
      const at = `layers.${layer}`;
      const qkv = await this.#linear(
        [`${at}.q`, `${at}.k`, `${at}.v`],
        await this.#norm(`${at}.attentionNorm`, state),
      );
      state = graph.node('Add', [state, await this.#linear([`${at}.o`], attend(layer, qkv))]);
      const normed = await this.#norm(`${at}.ffnNorm`, state);
      const gate = await this.#linear([`${at}.gate`], normed);
      const active = graph.node('QuickGelu', [gate], { ...ORT, attributes: { alpha: { float: 1 } } });
      const product = graph.node('Mul', [active, await this.#linear([`${at}.up`], normed)]);
      state = graph.node('Add', [state, await this.#linear([`${at}.down`], product)]);
    }
    const last = graph.node('Slice', [
      state,
      ...[-1, Number.MAX_SAFE_INTEGER, 1].map((bound) => graph.ints([bound])),
    ]);
    const logits = await this.#linear(['head'], await this.#norm('finalNorm', last));
    graph.output('logits', logits, 'float32', ['batch_size', 1, vocab]);
    return graph;
  }

  /** Declares what all layers' attention shares; the function returned attends with one layer's packed rows. */
  #attention(mask: Value): (layer: number, qkv: Value) => Value {
    const graph = this.#graph;
    const { heads, kvHeads, headDim, context, rope } = this.#checkpoint.model;
    const toInt32 = (value: Value) => graph.node('Cast', [value], { attributes: { to: 6 } });
    const lengths = graph.node('ReduceSum', [mask, graph.ints([1])], { attributes: { keepdims: 0 } });
    const lastPositions = toInt32(graph.node('Sub', [lengths, graph.ints([1], [])]));
    const total = toInt32(graph.node('Gather', [graph.node('Shape', [mask]), graph.ints([1], [])]));
    const half = rope.inverseFrequencies.length;
    const cache = (name: string, of: (angle: number) => number) => {
      const at = (index: number) => Math.floor(index / half) * rope.inverseFrequencies[index % half]!;
      const values = Float32Array.from({ length: context * half }, (_, index) => of(at(index)));
      return graph.floats(name, values, [context, half]);
    };
    const [cos, sin] = [cache('cos', Math.cos), cache('sin', Math.sin)];
    return (layer, qkv) => {
      const [pastKeys, pastValues] = (['key', 'value'] as const).map((part) =>
        graph.input(`past_key_values.${layer}.${part}`, 'float32', [
          'batch_size',
          kvHeads,
          'past_sequence_length',
          headDim,
        ]),
      );
      const [mixed, keys, values] = graph.nodes(
        'GroupQueryAttention',
        [qkv, '', '', pastKeys!, pastValues!, lastPositions, total, cos, sin],
        3,
        { ...ORT, attributes: { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1 } },
      );
      graph.output(`present.${layer}.key`, keys!, 'float32', [
        'batch_size',
        kvHeads,
        'total_sequence_length',
        headDim,
      ]);
      graph.output(`present.${layer}.value`, values!, 'float32', [
        'batch_size',
        kvHeads,
        'total_sequence_length',
        headDim,
      ]);
      return mixed!;
    };
  }

  /** x·Wᵀ for the rows of all `parts` below each other; x [batch, rows, in]. */
  async #linear(parts: readonly string[], x: Value): Promise<Value> {
    const graph = this.#graph;
    const read = await Promise.all(parts.map((part) => this.#checkpoint.read(part)));
    const weight = new Float32Array(read.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of read) {
      weight.set(part, at);
      at += part.length;
    }
    const name = parts.join('+');
    const columns = this.#columns(parts[0]!);
    const out = weight.length / columns;
    if (this.#dtype === 'fp32') {
      // [in, out], as MatMul wants it.
      const turned = new Float32Array(weight.length);
      for (let row = 0; row < out; row++) {
        for (let column = 0; column < columns; column++)
          turned[column * out + row] = weight[row * columns + column]!;
      }
      return graph.node('MatMul', [
        x,
        graph.weight(name, await this.#weights.append(turned, [columns, out])),
      ]);
    }
    const { data, scales, zeroPoints, blocks } = quantize(weight, out, columns, 4);
    const stored = [
      graph.weight(`${name}.data`, await this.#weights.append(data, [out, blocks, QUANTIZATION_BLOCK / 2])),
      graph.weight(`${name}.scales`, await this.#weights.append(scales, [out * blocks])),
      graph.weight(`${name}.zeros`, await this.#weights.append(zeroPoints, [zeroPoints.length])),
    ];
    return graph.node('MatMulNBits', [x, ...stored], {
      ...ORT,
      attributes: { K: columns, N: out, bits: 4, block_size: QUANTIZATION_BLOCK, accuracy_level: 4 },
    });
  }

  #columns(part: string): number {
    const { hidden, heads, headDim, ffn } = this.#checkpoint.model;
    if (part.endsWith('.o')) return heads * headDim;
    return part.endsWith('.down') ? ffn : hidden;
  }

  async #norm(name: string, x: Value): Promise<Value> {
    const { hidden, normEpsilon } = this.#checkpoint.model;
    const weight = this.#graph.weight(
      name,
      await this.#weights.append(await this.#checkpoint.read(name), [hidden]),
    );
    return this.#graph.node('SimplifiedLayerNormalization', [x, weight], {
      attributes: { axis: -1, epsilon: { float: normEpsilon }, stash_type: 1 },
    });
  }
}
