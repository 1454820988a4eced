import type { ExitPolicy, ExitRule } from '@rondo/core';
import { enumField, present, uint32 } from './fields.ts';
import * as pb from './proto-types.ts';

const exitPolicy = enumField<ExitPolicy>('ExitPolicy', {
  none: pb.ExitPolicy.EXIT_POLICY_NONE,
  gate: pb.ExitPolicy.EXIT_POLICY_GATE,
  'latent-diff': pb.ExitPolicy.EXIT_POLICY_LATENT_DIFF,
  confidence: pb.ExitPolicy.EXIT_POLICY_CONFIDENCE,
  replay: pb.ExitPolicy.EXIT_POLICY_REPLAY,
});

export const exitToProto = (exit: ExitRule): pb.Exit => ({
  policy: exitPolicy.encode(exit.policy),
  threshold: exit.threshold,
  minDepth: uint32(exit.minDepth, 'minDepth'),
  maxDepth: uint32(exit.maxDepth, 'maxDepth'),
  depths: (exit.depths ?? []).map((depth) => uint32(depth, 'depths')),
});

/** The rule in field `exit` of `message`. Throws PROTOCOL_MISMATCH when it is missing or of a policy unknown here. */
export function exitFromProto(exit: pb.Exit | null | undefined, message: string): ExitRule {
  const { policy, threshold, minDepth, maxDepth, depths } = present(exit, message, 'exit');
  return {
    policy: exitPolicy.decode(policy),
    threshold,
    minDepth,
    maxDepth,
    ...(depths.length > 0 && { depths }),
  };
}
