import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { protoTypes } from './compile-proto.ts';
import { loadContract } from './contract.ts';

const ours = loadContract().lookup('rondo.v1') as protobuf.Namespace;
const messages = ours.nestedArray.filter((nested) => nested instanceof protobuf.Type);
const enums = ours.nestedArray.filter((nested) => nested instanceof protobuf.Enum);

test('proto-types.ts is what the .proto files say', () => {
  const written = readFileSync(new URL('./proto-types.ts', import.meta.url), 'utf8');
  assert.equal(written, protoTypes(), 'run `make proto`');
});

test('every enum starts unspecified and prefixes its values with its own name', () => {
  assert.ok(enums.length > 0);
  for (const { name, values } of enums) {
    const prefix = `${name.replace(/(?<=.)[A-Z]/g, '_$&').toUpperCase()}_`;
    assert.equal(values[`${prefix}UNSPECIFIED`], 0, name);
    for (const value of Object.keys(values)) assert.ok(value.startsWith(prefix), `${name}.${value}`);
  }
});

test('no field is a 64-bit integer, which would decode to a Long', () => {
  assert.ok(messages.length > 0);
  for (const { name, fieldsArray } of messages) {
    for (const field of fieldsArray) assert.doesNotMatch(field.type, /64/, `${name}.${field.name}`);
  }
});

test('the tensor data types have the numbers of ONNX', () => {
  const { values } = ours.lookupEnum('DataType');
  assert.deepEqual(values, { DATA_TYPE_UNSPECIFIED: 0, DATA_TYPE_FLOAT32: 1, DATA_TYPE_FLOAT16: 10 });
});
