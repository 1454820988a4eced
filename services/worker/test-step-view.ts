import type { Phase } from './chunk.ts';
import { decide, type ReadyChunk, type StepPolicy, type StepView } from './step-policy.ts';

export const STEP_LIMITS = { rowsMax: 256, prefillRows: 64, backgroundRows: 8, backgroundWaitRuns: 8 };

/** A row that decodes, in its phase after so many passes. */
export const row = (phase: Phase, passes = 0, passesHere = passes): ReadyChunk => ({
  phase,
  passes,
  passesHere,
  rows: 1,
  decodes: true,
  leaves: false,
  deferred: false,
  background: false,
});
/** Rows of a prompt. */
export const prompt = (phase: Phase, rows: number, passes = 0): ReadyChunk => ({
  phase,
  passes,
  passesHere: passes,
  rows,
  decodes: false,
  leaves: false,
  deferred: false,
  background: false,
});
/** What runs next beside others, under limits that tests know. */
export const next = (
  ready: readonly ReadyChunk[],
  policy: StepPolicy = 'depth',
  decoding = true,
  decodingShare = 64,
  backgroundWaited = 0,
  known: Partial<Pick<StepView<ReadyChunk>, 'costs' | 'expectedPasses' | 'leavingShare'>> = {},
) => {
  const { costs, expectedPasses, leavingShare = 0.5 } = known;
  const view = {
    ready,
    exitPhase: 'coda',
    decoding,
    hurried: true,
    decodingShare,
    leavingShare,
    backgroundWaited,
  } as const;
  return decide({ ...view, costs, expectedPasses }, STEP_LIMITS, policy);
};
