export type { WorkerAnnouncement } from './announcement.ts';
export { AnnouncementBoard, type BoardListener } from './announcement-board.ts';
export type { GenerateStreamEvent, OpenedEvent } from './generate-message.ts';
export type { Hello } from './hello.ts';
export { type Job, JobQueue, type JobQueueOptions } from './job-queue.ts';
export { KeyedResults, type KeyedResultsOptions, type Result, type Tally } from './keyed-results.ts';
export { type ChunkKind, type MicrobatchChunk, rowsPerFrame } from './microbatch.ts';
export type { NatsCredentials } from './nats-credentials.ts';
export {
  NatsLink,
  type NatsOptions,
  type NatsState,
  type NatsStores,
  type NatsTls,
  openNats,
} from './nats-link.ts';
export { ObjectStore } from './object-store.ts';
export type { PassesFrame } from './passes-frame.ts';
export type { PassesLink } from './passes-link.ts';
export type { PassesReply } from './passes-reply.ts';
export { PROTOCOL_REVISION } from './protocol-revision.ts';
export { RecordStore, type RecordStoreOptions, type Stored } from './record-store.ts';
export type { ToldRuns } from './runs-message.ts';
export { Silence } from './silence.ts';
export { missingStreams } from './stream.ts';
export { DEFAULT_NATS_PREFIX, type StreamNames, type Subjects, subjectsUnder } from './subjects.ts';
export { ACTIVATIONS, type Activations, bytesPerFloat } from './tensor.ts';
export { connectWorker, type WorkerClient } from './worker-client.ts';
export type { Load, Progress, Pulse, Work, WorkerDescription, WorkerState } from './worker-message.ts';
export {
  type CloseOptions,
  type ServeOptions,
  serveWorker,
  type WorkerHandlers,
  type WorkerServer,
} from './worker-server.ts';
