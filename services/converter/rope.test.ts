import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fields } from './fields.ts';
import { ropeFromConfig } from './rope.ts';

// That the figures are right is shown against PyTorch by the tiny checkpoints of integration-tests.

const rope = (config: Record<string, unknown>) => ropeFromConfig(new Fields('config.json', config), 16, 512);

const close = (actual: readonly number[], expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, at) => {
    assert.ok(Math.abs(value - expected[at]!) <= 1e-6 * expected[at]!, `${at}: ${value} ≠ ${expected[at]}`);
  });
};

const PLAIN = Array.from({ length: 8 }, (_, index) => 10000 ** (-index / 8));

test('without settings the base is 10000', () => close(rope({}).inverseFrequencies, PLAIN));

test('old and new style say the same', () => {
  const scaling = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 };
  assert.deepEqual(
    rope({ rope_theta: 5000, rope_scaling: scaling }),
    rope({ rope_parameters: { ...scaling, rope_theta: 5000 } }),
  );
  assert.deepEqual(
    rope({ rope_theta: 5000, rope_scaling: { type: 'linear', factor: 2 } }),
    rope({ rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 5000 } }),
  );
});

test('old and new style side by side say the same, or are refused', () => {
  const parameters = { rope_type: 'linear', factor: 2, rope_theta: 5000 };
  const alone = rope({ rope_parameters: parameters });
  for (const scaling of [parameters, { type: 'linear', factor: 2 }, null]) {
    assert.deepEqual(rope({ rope_parameters: parameters, rope_scaling: scaling }), alone);
  }
  for (const scaling of [
    { type: 'linear', factor: 4 },
    { ...parameters, rope_theta: 10000 },
  ]) {
    assert.throws(() => rope({ rope_parameters: parameters, rope_scaling: scaling }), {
      code: 'CHECKPOINT_UNSUPPORTED',
      message: /rope_scaling is .*; supported: the same as rope_parameters, or none beside it/,
    });
  }
});

test('a null scaling is no scaling', () =>
  close(rope({ rope_scaling: null, rope_theta: 10000 }).inverseFrequencies, PLAIN));

test('linear scaling divides every frequency', () => {
  const scaled = rope({ rope_scaling: { type: 'linear', factor: 4 } });
  close(
    scaled.inverseFrequencies,
    PLAIN.map((value) => value / 4),
  );
});

test('llama3 scaling leaves the fast frequencies and divides the slow ones', () => {
  const { inverseFrequencies } = rope({
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 256,
    },
  });
  assert.equal(inverseFrequencies[0], 1);
  close(inverseFrequencies.slice(-2), [PLAIN[6]! / 8, PLAIN[7]! / 8]);
});

test('yarn keeps the fastest, divides the slowest, and scales cosine and sine by 0.1·ln(factor) + 1', () => {
  const { inverseFrequencies, attentionFactor } = rope({
    rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 },
  });
  assert.equal(inverseFrequencies[0], 1);
  close(inverseFrequencies.slice(-1), [PLAIN[7]! / 4]);
  assert.equal(attentionFactor, 0.1 * Math.log(4) + 1);
});

test('a given attention factor wins over the computed one', () => {
  const scaling = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 };
  assert.equal(rope({ rope_scaling: { ...scaling, attention_factor: 1.5 } }).attentionFactor, 1.5);
  const { attentionFactor } = rope({ rope_scaling: { ...scaling, mscale: 2, mscale_all_dim: 1 } });
  assert.equal(attentionFactor, (0.2 * Math.log(4) + 1) / (0.1 * Math.log(4) + 1));
});

for (const type of ['dynamic', 'longrope', 'su', 'mrope']) {
  test(`${type} scaling is refused by name`, () =>
    assert.throws(() => rope({ rope_scaling: { type, factor: 2 } }), {
      code: 'CHECKPOINT_UNSUPPORTED',
      message: new RegExp(`"${type}".*default, linear, llama3, yarn`),
    }));
}

test('a base or factor that no frequency can be divided by is named', () => {
  const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 };
  const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  for (const [config, key] of [
    [{ rope_theta: 0 }, 'rope_theta'],
    [{ rope_parameters: { rope_type: 'default', rope_theta: -1 } }, 'rope_theta'],
    [{ rope_scaling: { type: 'linear', factor: 0 } }, 'factor'],
    [{ rope_scaling: { ...llama3, factor: 0 } }, 'factor'],
    [{ rope_scaling: { ...llama3, low_freq_factor: 0 } }, 'low_freq_factor'],
    [{ rope_scaling: { ...llama3, high_freq_factor: 0 } }, 'high_freq_factor'],
    [{ rope_scaling: { ...yarn, factor: 0 } }, 'factor'],
    [{ rope_scaling: { ...yarn, beta_fast: 0 } }, 'beta_fast'],
    [{ rope_scaling: { ...yarn, beta_slow: -1 } }, 'beta_slow'],
    [{ rope_scaling: { ...yarn, attention_factor: 0 } }, 'attention_factor'],
  ] as const) {
    assert.throws(() => rope(config), {
      code: 'CHECKPOINT_INVALID',
      message: new RegExp(`: ${key}: expected a number above 0, found (0|-1)$`),
    });
  }
});

test('scaling without a type is refused, not ignored', () =>
  assert.throws(() => rope({ rope_scaling: { factor: 2 } }), { code: 'CHECKPOINT_UNSUPPORTED' }));
