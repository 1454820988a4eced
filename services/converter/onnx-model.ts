import protobuf from 'protobufjs';

/** The part of onnx.proto (IR version 10) that Rondo's graphs use; field numbers are ONNX's. */
const schema = {
  nested: {
    StringStringEntry: { fields: { key: str(1), value: str(2) } },
    TensorProto: {
      fields: {
        dims: repeated('int64', 1),
        dataType: field('int32', 2),
        name: str(8),
        rawData: field('bytes', 9),
        externalData: repeated('StringStringEntry', 13),
        dataLocation: field('int32', 14),
      },
    },
    AttributeProto: {
      fields: {
        name: str(1),
        f: field('float', 2),
        i: field('int64', 3),
        s: field('bytes', 4),
        ints: repeated('int64', 8),
        type: field('int32', 20),
      },
    },
    NodeProto: {
      fields: {
        input: repeated('string', 1),
        output: repeated('string', 2),
        name: str(3),
        opType: str(4),
        attribute: repeated('AttributeProto', 5),
        domain: str(7),
      },
    },
    Dimension: { fields: { dimValue: field('int64', 1), dimParam: str(2) } },
    TensorShapeProto: { fields: { dim: repeated('Dimension', 1) } },
    TensorType: { fields: { elemType: field('int32', 1), shape: field('TensorShapeProto', 2) } },
    TypeProto: { fields: { tensorType: field('TensorType', 1) } },
    ValueInfoProto: { fields: { name: str(1), type: field('TypeProto', 2) } },
    GraphProto: {
      fields: {
        node: repeated('NodeProto', 1),
        name: str(2),
        initializer: repeated('TensorProto', 5),
        input: repeated('ValueInfoProto', 11),
        output: repeated('ValueInfoProto', 12),
      },
    },
    OperatorSetId: { fields: { domain: str(1), version: field('int64', 2) } },
    ModelProto: {
      fields: {
        irVersion: field('int64', 1),
        producerName: str(2),
        graph: field('GraphProto', 7),
        opsetImport: repeated('OperatorSetId', 8),
      },
    },
  },
};

function field(type: string, id: number): { type: string; id: number } {
  return { type, id };
}

function str(id: number): { type: string; id: number } {
  return { type: 'string', id };
}

function repeated(
  type: string,
  id: number,
): { rule: 'repeated'; type: string; id: number; options?: object } {
  const scalar = type === 'int64';
  return { rule: 'repeated', type, id, ...(scalar ? { options: { packed: false } } : {}) };
}

const modelType = protobuf.Root.fromJSON(schema).lookupType('ModelProto');

/** TensorProto.DataType numbers. */
export const DATA_TYPE = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const;
export type DataType = keyof typeof DATA_TYPE;

/** AttributeProto.AttributeType numbers. */
export const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** Serialises a ModelProto given as a plain object with camelCase fields. */
export const encodeModel = (model: object): Uint8Array => modelType.encode(modelType.create(model)).finish();
