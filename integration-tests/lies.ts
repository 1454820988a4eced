import type { GenerateStreamEvent, MicrobatchChunk, PassesFrame } from '@rondo/wire';

/** An id that no vocabulary of a test model has. */
const NO_TOKEN = 4_000_000_000;

type TokenEvent = Extract<GenerateStreamEvent, { type: 'token' }>;

/** What a home may say instead of a token. */
const OF_TOKENS = {
  'an id beyond the vocabulary': (event: TokenEvent) => [{ ...event, id: NO_TOKEN }],
  'a token out of order': (event: TokenEvent) => [{ ...event, index: event.index + 1 }],
  'a token of another epoch': (event: TokenEvent) => [{ ...event, epoch: event.epoch + 1 }],
  'passes that there are not': (event: TokenEvent) => [{ ...event, passes: 99 }],
  'an end before its time': ({ epoch }: TokenEvent) => [
    { type: 'finished', epoch, reason: 'length', promptPasses: 1, generatedPasses: 1 } as const,
  ],
} satisfies Record<string, (event: TokenEvent) => readonly GenerateStreamEvent[]>;

/** What a worker may send on instead of rows. */
const OF_ROWS = {
  'states of a wrong size': (chunk: MicrobatchChunk) => ({
    ...chunk,
    state: chunk.state.subarray(0, chunk.state.length - chunk.rows),
  }),
  'rows out of order': (chunk: MicrobatchChunk) => ({ ...chunk, start: chunk.start + 1 }),
  'rows of another epoch': (chunk: MicrobatchChunk) => ({ ...chunk, epoch: chunk.epoch + 1 }),
  'rows at a depth that there is not': (chunk: MicrobatchChunk) => ({ ...chunk, depth: 99 }),
} satisfies Record<string, (chunk: MicrobatchChunk) => MicrobatchChunk>;

export type TokenLie = keyof typeof OF_TOKENS;
export type RowLie = keyof typeof OF_ROWS;
export const TOKEN_LIES = Object.keys(OF_TOKENS) as TokenLie[];
export const ROW_LIES = Object.keys(OF_ROWS) as RowLie[];

export function lieInEvent(
  lie: string | undefined,
  event: GenerateStreamEvent,
): readonly GenerateStreamEvent[] {
  const tell = OF_TOKENS[lie as TokenLie] as ((event: TokenEvent) => GenerateStreamEvent[]) | undefined;
  return tell && event.type === 'token' ? tell(event) : [event];
}

export function lieInFrame(lie: string | undefined, frame: PassesFrame): PassesFrame {
  const tell = OF_ROWS[lie as RowLie] as ((chunk: MicrobatchChunk) => MicrobatchChunk) | undefined;
  return tell && frame.type === 'microbatch' ? { ...frame, chunks: frame.chunks.map(tell) } : frame;
}
