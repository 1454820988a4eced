import { LIMITS } from '@rondo/core';
import type { Head, Sequence, Sequences } from './sequences.ts';
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
  const found: Window[] = [];
  for (let first = 0; first < chosen.length; first += LIMITS.evalRows) {
    const group = chosen.slice(first, first + LIMITS.evalRows);
    const written = await greedyTexts(
      model,
      group.map(({ ids }) => ids.slice(0, prompt)),
      tokens,
    );
    written.forEach((ids, at) => {
      found.push({ name: group[at]!.name, ids, context: ids.length - tokens, bytes: 0 });
    });
  }
  return found;
}

async function greedyTexts(
  model: Sequences,
  prompts: readonly (readonly number[])[],
  tokens: number,
): Promise<number[][]> {
  const full = [model.bundle.manifest.maxDepth];
  const texts = prompts.map((ids) => [...ids]);
  const sequences: Sequence[] = prompts.map(() => model.create());
  for (const [at, sequence] of sequences.entries()) {
    texts[at]!.push(await readPrompt(model, sequence, prompts[at]!));
  }
  for (let step = 1; step < tokens; step++) {
    const appends = sequences.map((sequence, at) => ({ sequence, ids: texts[at]!.slice(-1), heads: 1 }));
    await model.append(appends, full, (_, heads) => {
      heads.forEach(({ topId }, at) => {
        texts[at]!.push(topId);
      });
    });
  }
  for (const sequence of sequences) model.release(sequence);
  return texts;
}

/** Appends a prompt and returns the id that most likely follows it. */
async function readPrompt(model: Sequences, sequence: Sequence, ids: readonly number[]): Promise<number> {
  const full = [model.bundle.manifest.maxDepth];
  let last: Head | undefined;
  for (let first = 0; first < ids.length; first += LIMITS.evalRows) {
    const part = ids.slice(first, first + LIMITS.evalRows);
    const heads = first + part.length === ids.length ? 1 : 0;
    await model.append([{ sequence, ids: part, heads }], full, (_, rows) => {
      last = rows.at(-1);
    });
  }
  return last!.topId;
}
