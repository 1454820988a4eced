import type { ChoiceDelta } from './choice.ts';

/** Whoever listens to an answer beside the client. */
export interface AnswerListener {
  hear(index: number, delta: ChoiceDelta): void;
  /** The answer has ended: whole, left by its client, or by this failure. */
  end(failure?: unknown): void;
}

/** Two that listen to one answer. */
export const bothListeners = (one: AnswerListener, other: AnswerListener | undefined): AnswerListener =>
  other === undefined
    ? one
    : {
        hear(index, delta) {
          one.hear(index, delta);
          other.hear(index, delta);
        },
        end(failure) {
          one.end(failure);
          other.end(failure);
        },
      };
