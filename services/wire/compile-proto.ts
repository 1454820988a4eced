/**
 * Writes proto-types.ts from the .proto files, so that tsc holds messages.ts to the contract: `make proto`.
 * With --check it only compares, and fails when the file is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { loadContract } from './contract.ts';

const SCALARS: Readonly<Record<string, string>> = {
  uint32: 'number',
  double: 'number',
  bool: 'boolean',
  string: 'string',
  bytes: 'Uint8Array',
};

const HEADER = '// Written by compile-proto.ts from proto/: run `make proto` after a change there.\n';

const target = fileURLToPath(new URL('./proto-types.ts', import.meta.url));

const comment = (text: string | null, indent: string): string =>
  text === null ? '' : `${indent}/** ${text.replaceAll('\n', ' ')} */\n`;

/** The type of one element. 64-bit integers are refused: protobufjs decodes them to `Long` objects. */
function elementType(field: protobuf.Field): string {
  if (field.resolvedType !== null) return field.resolvedType.name;
  const scalar = SCALARS[field.type];
  if (scalar === undefined) {
    throw new Error(`${field.fullName}: type ${field.type}; allowed are ${Object.keys(SCALARS).join(', ')}`);
  }
  return scalar;
}

/** Decoded shape: absent messages, oneof members and optional scalars are null or undefined, all else is present. */
function fieldLine(field: protobuf.Field): string {
  const type = elementType(field);
  const mayBeAbsent = field.resolvedType instanceof protobuf.Type || field.partOf !== null;
  const note = comment(field.comment, '  ');
  if (field.repeated) return `${note}  ${field.name}: ${type}[];\n`;
  return mayBeAbsent ? `${note}  ${field.name}?: ${type} | null;\n` : `${note}  ${field.name}: ${type};\n`;
}

function oneofLine(oneof: protobuf.OneOf): string {
  const members = oneof.oneof.map((name) => `'${name}'`);
  return `  /** Set when decoded: the member that is present. */\n  ${oneof.name}?: ${members.join(' | ')};\n`;
}

function interfaceText(type: protobuf.Type): string {
  const lines = type.fieldsArray.map(fieldLine);
  for (const oneof of type.oneofsArray) {
    if (!oneof.isProto3Optional) lines.push(oneofLine(oneof));
  }
  const note = comment(type.comment, '');
  if (lines.length === 0) return `${note}export type ${type.name} = Record<string, never>;\n`;
  return `${note}export interface ${type.name} {\n${lines.join('')}}\n`;
}

function enumText(type: protobuf.Enum): string {
  const values = Object.entries(type.values).map(([name, value]) => `  ${name}: ${value},\n`);
  return (
    `${comment(type.comment, '')}export const ${type.name} = {\n${values.join('')}} as const;\n` +
    `export type ${type.name} = number;\n`
  );
}

function declarations(namespace: protobuf.NamespaceBase): string[] {
  return namespace.nestedArray.flatMap((nested) => {
    if (nested instanceof protobuf.Enum) return [enumText(nested)];
    if (nested instanceof protobuf.Type) return [interfaceText(nested), ...declarations(nested)];
    return nested instanceof protobuf.Namespace && !(nested instanceof protobuf.Service)
      ? declarations(nested)
      : [];
  });
}

/** The text that proto-types.ts must have. */
export const protoTypes = (): string => [HEADER, ...declarations(loadContract())].join('\n');

if (import.meta.main) {
  const text = protoTypes();
  if (!process.argv.includes('--check')) writeFileSync(target, text);
  else if (readFileSync(target, 'utf8') !== text) {
    console.error('services/wire/proto-types.ts does not match proto/: run `make proto`');
    process.exitCode = 1;
  }
}
