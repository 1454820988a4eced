import type { MethodDefinition } from '@grpc/grpc-js';
import { LIMITS, RondoError } from '@rondo/core';
import type protobuf from 'protobufjs';
import { loadContract } from './contract.ts';
import { malformed } from './fields.ts';
import type * as pb from './proto-types.ts';

const root = loadContract();

/** A protobuf message and its bytes. Says nothing about what the message means: the files named after them do. */
export interface MessageType<T> {
  readonly name: string;
  /** Throws BODY_TOO_LARGE above the message limit, before gRPC would cut the call with less to say. */
  encode(message: T): Buffer;
  /** Throws PROTOCOL_MISMATCH on bytes that are no such message. `bytes` fields alias the input. */
  decode(bytes: Uint8Array): T;
}

function messageType<T>(fullName: string): MessageType<T> {
  const type: protobuf.Type = root.lookupType(fullName);
  return {
    name: type.name,
    encode(message) {
      const bytes = type.encode(message as Record<string, unknown>).finish() as Buffer;
      if (bytes.length > LIMITS.grpcMessageBytes) {
        throw new RondoError(
          'BODY_TOO_LARGE',
          `${type.name} of ${bytes.length} bytes exceeds the message limit of ${LIMITS.grpcMessageBytes} bytes`,
        );
      }
      return bytes;
    },
    decode(bytes) {
      try {
        return type.decode(bytes) as unknown as T;
      } catch (error) {
        throw malformed(type.name, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

export const messageTypes = {
  describeResponse: messageType<pb.DescribeResponse>('rondo.v1.DescribeResponse'),
  watchResponse: messageType<pb.WatchResponse>('rondo.v1.WatchResponse'),
  generateRequest: messageType<pb.GenerateRequest>('rondo.v1.GenerateRequest'),
  generateResponse: messageType<pb.GenerateResponse>('rondo.v1.GenerateResponse'),
  passesRequest: messageType<pb.PassesRequest>('rondo.v1.PassesRequest'),
  passesResponse: messageType<pb.PassesResponse>('rondo.v1.PassesResponse'),
  healthCheckRequest: messageType<pb.HealthCheckRequest>('grpc.health.v1.HealthCheckRequest'),
  healthCheckResponse: messageType<pb.HealthCheckResponse>('grpc.health.v1.HealthCheckResponse'),
} as const;

/** gRPC carries bytes as they are, so that a message is decoded where a RondoError can say what is wrong with it. */
type BytesMethod = MethodDefinition<Buffer, Buffer>;

const asIs = (bytes: Buffer): Buffer => bytes;

function serviceDefinition<Method extends string>(
  fullName: string,
  methods: readonly Method[],
): Record<Method, BytesMethod> {
  const service = root.lookupService(fullName);
  const entries = methods.map((name): [Method, BytesMethod] => {
    const method = service.methods[name[0]?.toUpperCase() + name.slice(1)];
    if (method === undefined) throw new RondoError('INTERNAL', `${fullName} has no method ${name}`);
    return [
      name,
      {
        path: `/${fullName}/${method.name}`,
        requestStream: method.requestStream ?? false,
        responseStream: method.responseStream ?? false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    ];
  });
  return Object.fromEntries(entries) as Record<Method, BytesMethod>;
}

export const WORKER_SERVICE = 'rondo.v1.WorkerService';

export const workerService = serviceDefinition(WORKER_SERVICE, ['describe', 'watch', 'generate', 'passes']);
export const healthService = serviceDefinition('grpc.health.v1.Health', ['check', 'watch']);
