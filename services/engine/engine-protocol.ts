import type { Bundle } from '@rondo/bundle';
import type { ErrorCode } from '@rondo/core';
import type { HeadBatch, PropagateBatch, Stack, StackBatch } from './engine.ts';
import type { GraphsOptions } from './model-graphs.ts';

/** What the owner sends; every message but `close` is answered by one reply with the same id, in order. */
export type EngineRequest =
  | { readonly id: number; readonly kind: 'stack'; readonly batch: StackBatch }
  | { readonly id: number; readonly kind: 'head'; readonly batch: HeadBatch }
  | { readonly id: number; readonly kind: 'propagate'; readonly batch: PropagateBatch }
  | { readonly id: number; readonly kind: 'poison'; readonly stack: Stack; readonly pages: Int32Array }
  | { readonly id: number; readonly kind: 'close' };

export type EngineReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: SentError };

/** An error on its way to the other thread, which an object of its class would not survive. */
export interface SentError {
  readonly code: ErrorCode;
  readonly message: string;
  /** Of the innermost cause, where an error was thrown. */
  readonly stack: string | undefined;
}

export interface EngineThreadData {
  readonly bundle: Bundle;
  readonly options: GraphsOptions;
}

/** Id of the reply that says whether loading and warm-up worked. */
export const READY_ID = 0;
