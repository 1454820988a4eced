/** Names one sequence (one sampled continuation of one request) across the cluster. */
export type SequenceId = string & { readonly sequenceId: unique symbol };

/** Names one worker process for as long as it lives. */
export type WorkerId = string & { readonly workerId: unique symbol };

/** Where a worker's gRPC server listens, as `host:port`. */
export type Address = string & { readonly address: unique symbol };

export const sequenceId = (text: string): SequenceId => text as SequenceId;
export const workerId = (text: string): WorkerId => text as WorkerId;
export const address = (text: string): Address => text as Address;
