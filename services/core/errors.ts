/** gRPC status numbers used by the catalogue (google.rpc.Code). */
const GRPC = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  cancelled: 1,
  unauthenticated: 16,
} as const;

interface CatalogueEntry {
  readonly http: number;
  readonly grpc: number;
  readonly retryable: boolean;
  /** The `type` field of OpenAI's error object. */
  readonly type: 'invalid_request_error' | 'rate_limit_error' | 'server_error' | 'not_found_error';
}

const entry = (
  http: number,
  grpc: number,
  retryable: boolean,
  type: CatalogueEntry['type'],
): CatalogueEntry => ({
  http,
  grpc,
  retryable,
  type,
});

/** Every error Rondo raises on purpose: one place for HTTP status, gRPC status and whether another try can help. */
export const ERRORS = {
  INVALID_REQUEST: entry(400, GRPC.invalidArgument, false, 'invalid_request_error'),
  CONTEXT_LENGTH_EXCEEDED: entry(400, GRPC.invalidArgument, false, 'invalid_request_error'),
  BODY_TOO_LARGE: entry(413, GRPC.invalidArgument, false, 'invalid_request_error'),
  MODEL_NOT_FOUND: entry(404, GRPC.notFound, false, 'invalid_request_error'),
  NOT_FOUND: entry(404, GRPC.notFound, false, 'invalid_request_error'),
  ROUTE_NOT_FOUND: entry(404, GRPC.notFound, false, 'not_found_error'),
  INVALID_API_KEY: entry(401, GRPC.unauthenticated, false, 'invalid_request_error'),
  RATE_LIMIT_EXCEEDED: entry(429, GRPC.resourceExhausted, true, 'rate_limit_error'),
  OVERLOADED: entry(429, GRPC.resourceExhausted, true, 'rate_limit_error'),
  KV_EXHAUSTED: entry(429, GRPC.resourceExhausted, true, 'rate_limit_error'),
  NO_WORKER: entry(503, GRPC.unavailable, true, 'server_error'),
  WORKER_LOST: entry(503, GRPC.unavailable, true, 'server_error'),
  WORKER_STUCK: entry(503, GRPC.unavailable, true, 'server_error'),
  WORKER_FAULTY: entry(503, GRPC.unavailable, true, 'server_error'),
  NATS_UNAVAILABLE: entry(503, GRPC.unavailable, true, 'server_error'),
  NATS_REQUIRED: entry(501, GRPC.unimplemented, false, 'server_error'),
  LINE_GIVEN_UP: entry(500, GRPC.internal, false, 'server_error'),
  CANCELLED: entry(499, GRPC.cancelled, false, 'server_error'),
  BUNDLE_MISMATCH: entry(500, GRPC.failedPrecondition, false, 'server_error'),
  PROTOCOL_MISMATCH: entry(500, GRPC.failedPrecondition, false, 'server_error'),
  BUNDLE_INVALID: entry(500, GRPC.dataLoss, false, 'server_error'),
  CHECKPOINT_INVALID: entry(400, GRPC.invalidArgument, false, 'invalid_request_error'),
  CHECKPOINT_UNSUPPORTED: entry(400, GRPC.invalidArgument, false, 'invalid_request_error'),
  SOURCE_UNREACHABLE: entry(503, GRPC.unavailable, true, 'server_error'),
  CONFIG_INVALID: entry(500, GRPC.failedPrecondition, false, 'server_error'),
  QUALITY_WORSE: entry(500, GRPC.failedPrecondition, false, 'server_error'),
  ENGINE_FAILED: entry(500, GRPC.internal, false, 'server_error'),
  INTERNAL: entry(500, GRPC.internal, false, 'server_error'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorOptions {
  /** The request field at fault, in the API's own spelling. */
  readonly param?: string | undefined;
  readonly cause?: unknown;
}

/** An error from the catalogue. The message is for the user: it names the thing, the value found and the remedy. */
export class RondoError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RondoError';
    this.code = code;
    this.param = options.param;
  }

  get httpStatus(): number {
    return ERRORS[this.code].http;
  }

  get grpcStatus(): number {
    return ERRORS[this.code].grpc;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** Turns anything thrown into a catalogue error; what is none already becomes `code` with its cause kept. */
  static from(thrown: unknown, code: ErrorCode = 'INTERNAL'): RondoError {
    if (thrown instanceof RondoError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new RondoError(code, message, { cause: thrown });
  }
}

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);
