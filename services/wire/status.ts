import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type Address, type ErrorCode, isErrorCode, RondoError } from '@rondo/core';

/** Trailing metadata that carries a RondoError across gRPC, beside the canonical status code. */
const CODE_KEY = 'rondo-error-code';
const PARAM_KEY = 'rondo-error-param';

/** Percent-encoded three bytes each, a longer message would outgrow HTTP/2's header list. */
const DETAILS_CHARS_MAX = 4096;

/** The error as a gRPC server sends it; its cause and stack stay here. */
export function toStatus(error: RondoError): ServiceError {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  if (error.param !== undefined) metadata.set(PARAM_KEY, encodeURIComponent(error.param));
  const details = error.message.slice(0, DETAILS_CHARS_MAX).toWellFormed();
  return Object.assign(new Error(details, { cause: error }), { code: error.grpcStatus, details, metadata });
}

/** grpc-js words for its own message limits; it gives them the status of an overload, which a retry would not cure. */
const OVER_LIMIT = /larger than/;

/** A status that gRPC itself raised, not a handler of ours. */
function codeOfStatus(error: ServiceError): ErrorCode {
  switch (error.code) {
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    // Not our cancellation (the caller tells those apart): the server reset the stream.
    case status.CANCELLED:
      return 'WORKER_LOST';
    case status.RESOURCE_EXHAUSTED:
      return OVER_LIMIT.test(error.details) ? 'BODY_TOO_LARGE' : 'OVERLOADED';
    case status.UNIMPLEMENTED:
      return 'PROTOCOL_MISMATCH';
    case status.INTERNAL:
      return /RST_STREAM/.test(error.details) ? 'WORKER_LOST' : 'INTERNAL';
    default:
      return 'INTERNAL';
  }
}

const isServiceError = (thrown: unknown): thrown is ServiceError =>
  thrown instanceof Error && 'metadata' in thrown && thrown.metadata instanceof Metadata;

/** What was percent-encoded; undefined when it was not: whoever sent it is no worker of ours, and its error still is one. */
function decoded(param: string | undefined): string | undefined {
  try {
    return param && decodeURIComponent(param);
  } catch {
    return undefined;
  }
}

const firstText = (metadata: Metadata, key: string): string | undefined => metadata.get(key)[0]?.toString();

/** Rebuilds the RondoError that `peer` raised; what gRPC raised on the way becomes one that names the peer. */
export function fromStatus(thrown: unknown, peer: Address): RondoError {
  if (!isServiceError(thrown)) return RondoError.from(thrown);
  const code = firstText(thrown.metadata, CODE_KEY);
  if (code !== undefined && isErrorCode(code)) {
    const param = decoded(firstText(thrown.metadata, PARAM_KEY));
    return new RondoError(code, thrown.details, { cause: thrown, param });
  }
  const details = thrown.details.replace(/ ?Resolution note: .*$/, '');
  return new RondoError(codeOfStatus(thrown), `worker ${peer}: ${details}`, { cause: thrown });
}
