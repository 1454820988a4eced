import { LIMITS } from '@rondo/core';
import { JobQueue, KeyedResults, type NatsLink, ObjectStore, RecordStore } from '@rondo/wire';
import type { BatchRecord } from './batch-record.ts';
import type { FileRecord } from './files.ts';

/** Where files and batches are; all coordinators share it. */
export interface BatchStores {
  /** The bytes of files, by file id. */
  readonly contents: ObjectStore;
  readonly files: RecordStore<FileRecord>;
  readonly open: RecordStore<BatchRecord>;
  readonly ended: RecordStore<BatchRecord>;
  /** Lines to answer: a group for each batch, a key for each line, from 0. */
  readonly queue: JobQueue;
  /** Their answers under the same groups and keys. */
  readonly results: KeyedResults;
  /** A line or a batch whose coordinator is silent so long goes to another, in milliseconds. */
  readonly silenceMs: number;
}

/** The streams behind them. */
export const batchStreams = ({ subjects }: NatsLink): string[] => [
  ObjectStore.stream(subjects.contentsBucket),
  RecordStore.stream(subjects.filesBucket),
  RecordStore.stream(subjects.openBatchesBucket),
  RecordStore.stream(subjects.endedBatchesBucket),
  subjects.batchLines.stream,
  subjects.batchResults.stream,
];

/** Makes what is not there yet; again does no harm. @throws RondoError NATS_UNAVAILABLE */
export async function openBatchStores(link: NatsLink, silenceMs: number): Promise<BatchStores> {
  const { subjects } = link;
  const [contents, files, open, ended, queue, results] = await Promise.all([
    ObjectStore.open(link, subjects.contentsBucket),
    RecordStore.open<FileRecord>(link, subjects.filesBucket),
    RecordStore.open<BatchRecord>(link, subjects.openBatchesBucket),
    RecordStore.open<BatchRecord>(link, subjects.endedBatchesBucket, { keptMs: LIMITS.batchKeptMs }),
    JobQueue.open(link, { ...subjects.batchLines, silenceMs }),
    KeyedResults.open(link, { ...subjects.batchResults, keptMs: LIMITS.batchKeptMs }),
  ]);
  return { contents, files, open, ended, queue, results, silenceMs };
}
