import type { LiveFrame } from '../live-frame.ts';
import { events, Refused, send } from './api.ts';

const RETRY_MS = 1000;

export type LinkState =
  | { readonly kind: 'connecting' | 'live' | 'needs-key' }
  | { readonly kind: 'reconnecting'; readonly why: string };

/** Follows the frames until `signal` is raised or a key is asked for; a coordinator that went away is sought again. */
export async function followFrames(
  signal: AbortSignal,
  onState: (state: LinkState) => void,
  onFrame: (frame: LiveFrame) => void,
): Promise<void> {
  onState({ kind: 'connecting' });
  while (!signal.aborted) {
    try {
      const response = await send('/console/live', { signal });
      onState({ kind: 'live' });
      for await (const frame of events<LiveFrame>(response)) onFrame(frame);
      onState({ kind: 'reconnecting', why: 'the stream ended' });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 401) return onState({ kind: 'needs-key' });
      onState({ kind: 'reconnecting', why: (error as Error).message });
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
