import { appendRows } from './appended-rows.ts';
import type { Sequences } from './sequences.ts';
import type { Window } from './windows.ts';

export interface GreedyOptions {
  /** Ids of a window that are given. */
  readonly prompt: number;
  /** Ids that the model adds. */
  readonly tokens: number;
  /** Windows, from the first. */
  readonly max: number;
}

/**
 * The beginnings of `windows`, each with the ids that the model adds greedily with all its passes. Another model writes the
 * same up to the first of them that it would not have chosen, so it need not write itself.
 */
export async function greedyWindows(
  model: Sequences,
  windows: readonly Window[],
  { prompt, tokens, max }: GreedyOptions,
): Promise<Window[]> {
  const chosen = windows.slice(0, max);
  const texts = await greedyTexts(
    model,
    chosen.map(({ ids }) => ids.slice(0, prompt)),
    tokens,
  );
  return texts.map((ids, at) => ({
    name: chosen[at]!.name,
    ids,
    context: ids.length - tokens,
    bytes: 0,
  }));
}

async function greedyTexts(
  model: Sequences,
  prompts: readonly (readonly number[])[],
  tokens: number,
): Promise<number[][]> {
  const full = [model.bundle.manifest.maxDepth];
  const texts = prompts.map((ids) => [...ids]);
  const sequences = prompts.map(() => model.create());
  let rows = prompts;
  for (let step = 0; step < tokens; step++) {
    const appends = rows.map((ids, at) => ({ sequence: sequences[at]!, ids, heads: 1 }));
    await appendRows(model, appends, full, (at, _, [head]) => {
      texts[at]!.push(head!.topId);
    });
    rows = texts.map((ids) => ids.slice(-1));
  }
  for (const sequence of sequences) model.release(sequence);
  return texts;
}
