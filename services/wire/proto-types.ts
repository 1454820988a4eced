// Written by compile-proto.ts from proto/: run `make proto` after a change there.

export type DescribeRequest = Record<string, never>;

export interface DescribeResponse {
  workerId: string;
  protocolRevision: number;
  bundleDigest: string;
  bundleName: string;
  /** Execution provider that really ran the warm-up pass. */
  provider: string;
  /** The address that peers should use; empty: the one they dialled. */
  advertisedAddress: string;
  load?: Load | null;
}

export interface Load {
  sequences: number;
  sequencesMax: number;
  /** Positions of full-depth KV that could still be reserved. */
  freePositions: number;
  totalPositions: number;
  /** Moving average of what one run of the block takes, in milliseconds; 0 before the first. */
  stepMs: number;
  /** Moving average of what a frame takes from here to another worker, in milliseconds; 0 while none is known. */
  hopMs: number;
}

export type WatchRequest = Record<string, never>;

export const WorkerState = {
  WORKER_STATE_UNSPECIFIED: 0,
  WORKER_STATE_SERVING: 1,
  WORKER_STATE_DRAINING: 2,
} as const;
export type WorkerState = number;

export interface WatchResponse {
  state: WorkerState;
  load?: Load | null;
  progress?: Progress | null;
  work?: Work | null;
  /** What its clock says, in milliseconds since 1970; 0: it does not tell. */
  clockMs: number;
}

/** What the block has run so far, for whoever shows it. */
export interface Work {
  /** Runs of the block, modulo 2^32. */
  runs: number;
  /** Rows that ran the pass at each depth, modulo 2^32. */
  depthRows: number[];
}

/** Tells a worker with much to do from one that is stuck. */
export interface Progress {
  /** Runs of the engine that have ended so far, modulo 2^32. */
  steps: number;
  /** Since the last of them ended, or the worker began, in milliseconds. */
  stillMs: number;
  /** How long the run under way has lasted, in milliseconds; 0 while there is none. */
  runningMs: number;
}

export interface GenerateRequest {
  sequenceId: string;
  route?: Route | null;
  bundleDigest: string;
  protocolRevision: number;
  promptIds: number[];
  /** Emitted tokens included. */
  maxTokens: number;
  /** Empty: only max_tokens ends the sequence. */
  stopIds: number[];
  sampling?: Sampling | null;
  exit?: Exit | null;
  /** Absent: no log probabilities. */
  topLogprobs?: number | null;
  promptLogprobs: boolean;
  /** W3C trace context of the sequence, when its request is sampled. */
  traceparent: string;
  /** Tokens that went out from a worker that was lost or drained. Their rows run again; the next token follows them. */
  emitted: EmittedToken[];
  /** Nobody waits for its tokens one by one: beside sequences without this it runs a few rows at a time. */
  background: boolean;
  /** Tell what each run did for the sequence's rows. */
  tellRuns: boolean;
}

export interface EmittedToken {
  id: number;
  /** Passes that the row it came from spent. */
  passes: number;
}

export interface Sampling {
  temperature: number;
  topP: number;
  topK: number;
  minP: number;
  seed: number;
  presencePenalty: number;
  frequencyPenalty: number;
  repetitionPenalty: number;
  logitBiasId: number[];
  logitBiasValue: number[];
}

export interface GenerateResponse {
  /** Receivers drop events whose epoch is not the route's. */
  epoch: number;
  /** Pages are reserved on every worker of the route. */
  opened?: Opened | null;
  promptLogprobs?: PromptLogprobs | null;
  token?: Token | null;
  finished?: Finished | null;
  /** Before the token or the end that they led to; only when asked for. */
  runs?: Runs | null;
  /** Set when decoded: the member that is present. */
  event?: 'opened' | 'promptLogprobs' | 'token' | 'finished' | 'runs';
}

export interface Opened {
  /** Tokens of the prompt whose rows need not run: K and V of a sequence before it are shared. */
  cachedTokens: number;
}

export interface TokenLogprob {
  id: number;
  logprob: number;
}

export interface Token {
  index: number;
  id: number;
  logprob: number;
  top: TokenLogprob[];
  passes: number;
}

export interface PromptToken {
  id: number;
  logprob: number;
  top: TokenLogprob[];
}

export interface PromptLogprobs {
  first: number;
  tokens: PromptToken[];
}

export const FinishReason = {
  FINISH_REASON_UNSPECIFIED: 0,
  FINISH_REASON_STOP: 1,
  FINISH_REASON_LENGTH: 2,
} as const;
export type FinishReason = number;

export interface Finished {
  reason: FinishReason;
  promptPasses: number;
  generatedPasses: number;
}

export const ExitPolicy = {
  EXIT_POLICY_UNSPECIFIED: 0,
  EXIT_POLICY_NONE: 1,
  EXIT_POLICY_GATE: 2,
  EXIT_POLICY_LATENT_DIFF: 3,
  EXIT_POLICY_CONFIDENCE: 4,
  EXIT_POLICY_REPLAY: 5,
} as const;
export type ExitPolicy = number;

export interface Exit {
  policy: ExitPolicy;
  threshold: number;
  minDepth: number;
  maxDepth: number;
  /** Replay only: passes of generated row i are depths[i mod length]. */
  depths: number[];
}

/** One long-lived stream per pair of workers, opened by the sender of rows; many sequences share it. The receiver grants rows; a microbatch may hold no more than are granted and not yet used. */
export interface PassesRequest {
  hello?: Hello | null;
  openStage?: OpenStage | null;
  microbatch?: Microbatch | null;
  closeStage?: CloseStage | null;
  ping?: Ping | null;
  /** Set when decoded: the member that is present. */
  frame?: 'hello' | 'openStage' | 'microbatch' | 'closeStage' | 'ping';
}

export interface PassesResponse {
  stageOpened?: StageOpened | null;
  stageFailed?: StageFailed | null;
  credit?: Credit | null;
  pong?: Pong | null;
  /** Set when decoded: the member that is present. */
  frame?: 'stageOpened' | 'stageFailed' | 'credit' | 'pong';
}

/** First frame of every stream. A receiver with another digest, revision or precision ends the stream and says why. */
export interface Hello {
  protocolRevision: number;
  bundleDigest: string;
  workerId: string;
  /** Of every state sent between two workers: one precision for a cluster. */
  activations: DataType;
}

/** More rows that the sender may send, on top of those granted before. */
export interface Credit {
  rows: number;
}

/** Answered by a pong at once; pongs come in the order of the pings. */
export type Ping = Record<string, never>;

export type Pong = Record<string, never>;

/** Sent by the home: reserves pages for `positions` positions at each depth of the stages that the receiver runs. */
export interface OpenStage {
  sequenceId: string;
  route?: Route | null;
  positions: number;
  /** Rows from prompt_rows on may leave the loop early by this rule. */
  exit?: Exit | null;
  promptRows: number;
  /** The home needs the state of every prompt row after its last pass; else only a chunk's last row comes home, for all of it. */
  promptStates: boolean;
  /** W3C trace context of the sequence, when its request is sampled. */
  traceparent: string;
  /** Chunks that go on from here bring the runs of their sequence along. */
  tellRuns: boolean;
  /** Nobody waits for its tokens one by one: its rows give way to those of sequences without this. */
  background: boolean;
}

export interface StageOpened {
  sequenceId: string;
  epoch: number;
}

/** Answers open_stage or reports a later fault of one sequence; the stream goes on. */
export interface StageFailed {
  sequenceId: string;
  epoch: number;
  error?: ErrorDetail | null;
}

export interface CloseStage {
  sequenceId: string;
  epoch: number;
}

export const ChunkKind = {
  CHUNK_KIND_UNSPECIFIED: 0,
  CHUNK_KIND_LIVE: 1,
  CHUNK_KIND_EXITED: 2,
  CHUNK_KIND_SKIPPED: 3,
  CHUNK_KIND_OWED: 4,
} as const;
export type ChunkKind = number;

/** Rows travelling together. The arrays chunk_* have one element per chunk; state holds the rows of all chunks in order. */
export interface Microbatch {
  chunkSequenceId: string[];
  chunkEpoch: number[];
  /** Depth of the next pass, which is the number of passes spent. */
  chunkDepth: number[];
  /** Position of the chunk's first row. */
  chunkStart: number[];
  chunkRows: number[];
  /** [rows, hidden] */
  state?: Tensor | null;
  chunkKind: ChunkKind[];
  /** Product of 1 - gate over the passes spent. */
  chunkSurvival: number[];
  /** Rows of the same chunk that follow in the next frames: they run together. */
  chunkRest: number[];
  chunkRuns: ChunkRuns[];
  /** Answered by a pong once its rows are taken in, in their order among the pings. */
  ping: boolean;
}

/** What has run for a chunk's sequence away from its home, on its way there. */
export interface ChunkRuns {
  /** Index of the chunk in its microbatch. */
  chunk: number;
  runs?: Runs | null;
}

export interface ErrorDetail {
  /** A code of Rondo's error catalogue. */
  code: string;
  message: string;
  param: string;
}

export interface WorkerRef {
  workerId: string;
  /** host:port of the worker's gRPC server. */
  address: string;
}

/** Depths first_depth (inclusive) to end_depth (exclusive) run on one worker. */
export interface Stage {
  worker?: WorkerRef | null;
  firstDepth: number;
  endDepth: number;
}

/** Stages are in depth order and cover all depths. Anything from an older epoch is dropped. */
export interface Route {
  epoch: number;
  home?: WorkerRef | null;
  stages: Stage[];
}

export const RunPhase = {
  RUN_PHASE_UNSPECIFIED: 0,
  RUN_PHASE_PRELUDE: 1,
  RUN_PHASE_BLOCK: 2,
  RUN_PHASE_CODA: 3,
  RUN_PHASE_HEAD: 4,
} as const;
export type RunPhase = number;

/** What runs of engines did for the rows of one sequence. All arrays but two have one element per run. */
export interface Runs {
  phase: RunPhase[];
  /** Position of the first row, and how many there are. */
  start: number[];
  rows: number[];
  depth: number[];
  /** Index into worker_id. */
  worker: number[];
  /** Number of the step among those of its worker, modulo 2^32, and all of its rows. */
  step: number[];
  stepRows: number[];
  /** How many of step_depth belong to this run: the depths that its step mixed, ascending. */
  stepDepths: number[];
  stepDepth: number[];
  /** When the rows were ready, in milliseconds since 1970 by the worker's clock. */
  readyMs: number[];
  /** From there to the start of the step, and from there to its result. */
  waitMs: number[];
  runMs: number[];
  /** What the exit rule looked at after the pass; NaN where it did not look. */
  signal: number[];
  /** The rows left the loop after this pass before its last. */
  exited: boolean[];
  workerId: string[];
  /** Runs that are not here because there were too many. */
  dropped: number;
}

/** Numbers equal ONNX TensorProto.DataType. */
export const DataType = {
  DATA_TYPE_UNSPECIFIED: 0,
  DATA_TYPE_FLOAT32: 1,
  DATA_TYPE_FLOAT16: 10,
} as const;
export type DataType = number;

/** Row-major, contiguous, little-endian. */
export interface Tensor {
  dataType: DataType;
  dims: number[];
  data: Uint8Array;
}

export interface HealthCheckRequest {
  /** Empty: the whole server. */
  service: string;
}

export interface HealthCheckResponse {
  status: ServingStatus;
}

export const ServingStatus = {
  UNKNOWN: 0,
  SERVING: 1,
  NOT_SERVING: 2,
  SERVICE_UNKNOWN: 3,
} as const;
export type ServingStatus = number;
